# The commands of NVIDIA's guide, with jq to take the token out of the answer.
set -eu
body=$(jq -n --arg u "$RUNAI_USERNAME" --arg p "$RUNAI_PASSWORD" '{grantType: "password", username: $u, password: $p}')
token=$(curl -sS --fail --cacert "$NODE_EXTRA_CA_CERTS" -H 'Content-Type: application/json' -d "$body" "$RUNAI_URL/api/v1/token" | jq -r .accessToken)
echo "::add-mask::$token"
echo "access-token=$token" >>"$GITHUB_OUTPUT"
