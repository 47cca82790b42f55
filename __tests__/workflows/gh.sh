#!/bin/sh
# A stand-in for GitHub's command line: the few calls that release.yml makes, on files that take the place of GitHub. In
# $GH_STATE are: tagged (the commit of the release's tag), releases (a tag and its state a line), majors/ (a file with a
# commit for each tag of a major version), refuses-to-move (if it is there), failure (when, and in which call).
set -eu
cd "$GH_STATE"
repository=repos/your-org/runai-auth

fail() {
  echo "gh: $1" >&2
  exit 1
}

# What the option -f gives for a name.
field() {
  wanted=$1
  shift
  for argument; do case $argument in "$wanted="*) echo "${argument#*=}" ;; esac; done
}

move() {
  [ ! -e refuses-to-move ] || fail 'Resource not accessible by integration (HTTP 403)'
  field sha "$@" > "majors/$name"
  echo "$*" >> changes
}

echo "$*" >> calls
number=$(($(wc -l < calls)))
[ "$(cat failure)" != "before $number" ] || fail 'HTTP 502'

case "$*" in
  "api $repository/commits/tags/v"*' --jq .sha') cat tagged ;;
  'release view v'*' --repo your-org/runai-auth --json isDraft --jq .isDraft')
    case $(sed -n "s/^$3 //p" releases) in
      '') fail 'release not found' ;;
      draft) echo true ;;
      *) echo false ;;
    esac
    ;;
  'release create v'*' --verify-tag '*)
    [ -s "$RUNNER_TEMP/notes.md" ] || fail 'no notes'
    ! grep -qx "$3 published" releases || fail 'HTTP 422: already_exists'
    echo "$3 published" >> releases
    echo "$*" >> changes
    ;;
  "api $repository/releases --paginate --jq .[] | select(.draft or .prerelease | not) | .tag_name")
    sed -n 's/ published$//p' releases
    ;;
  "api $repository/git/ref/tags/v"*' --silent') [ -e "majors/${2##*/}" ] || fail 'Not Found (HTTP 404)' ;;
  "api $repository/git/refs/tags/v"*' --method PATCH '*'-F force=true --silent')
    name=${2##*/}
    [ -e "majors/$name" ] || fail 'HTTP 422'
    move "$@"
    ;;
  "api $repository/git/refs -f ref=refs/tags/v"*)
    name=$(field ref "$@")
    name=${name##*/}
    [ ! -e "majors/$name" ] || fail 'HTTP 422: Reference already exists'
    move "$@"
    ;;
  *) fail "this stand-in does not know gh $*" ;;
esac

[ "$(cat failure)" != "after $number" ] || fail 'HTTP 502'
