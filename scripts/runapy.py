"""Shows that NVIDIA's own Python client works against the simulated control plane, unmodified.

    npm ci && pip install runapy && python scripts/runapy.py
"""

import logging
import pathlib
import re
import subprocess
import sys

from runai.api_client import ApiClient
from runai.configuration import Configuration
from runai.exceptions import ApiException
from runai.runai_client import RunaiClient

VERSION = sys.argv[1] if len(sys.argv) > 1 else "2.24"  # app_token, which runapy signs in with, is gone in 3.0


def start():
    """Starts a simulator; gives its process, its URL, and the id and secret of an application that may do everything."""
    root = pathlib.Path(__file__).parent.parent
    command = [root / "node_modules/.bin/node", root / "scripts/simulator.ts", "--version", VERSION]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    said = ""
    for line in process.stdout:
        said += line
        if line.startswith("Ctrl+C"):
            break
    found = [re.search(f"{name}: (.*)", said).group(1) for name in ("simulated", "Client id", "Client secret")]
    return process, *found


def sign_in(url, client_id, client_secret):
    logger = logging.getLogger("runapy")
    logger.setLevel(logging.CRITICAL)  # it warns of each deprecated method
    return ApiClient(Configuration(client_id, client_secret, runai_base_url=url, logger=logger))


def names(answer, key="name"):
    return sorted(row[key] for row in answer.data)


def refused(attempt, kind):
    try:
        attempt()
    except kind:
        return
    raise AssertionError("it was not refused")


def try_out(url, client_id, client_secret):
    client = RunaiClient(sign_in(url, client_id, client_secret))
    print(f"signed in at {url} as {client_id}")

    applications = client.authentication_and_authorization.applications
    before = names(applications.get_applications())
    made = applications.create_application({"name": "from-python"}).data
    assert names(applications.get_applications()) == sorted([*before, "from-python"])
    print(f"created the application {made['name']}")

    sign_in(url, made["clientId"], made["secret"])
    assert applications.get_application_by_id(made["id"]).data["lastLogin"] is not None
    print("signed in as the new application")

    secret = applications.regenerate_application_secret(made["id"]).data["secret"]
    assert secret != made["secret"]
    applications.update_application_by_id(made["id"], {"enabled": False})
    assert applications.get_application_by_id(made["id"]).data["enabled"] is False
    refused(lambda: sign_in(url, made["clientId"], secret), ValueError)
    print("gave it a new secret, and disabled it: no token")

    applications.delete_application_by_id(made["id"])
    assert names(applications.get_applications()) == before
    print("deleted it")

    users = client.authentication_and_authorization.users
    user = users.create_user({"email": "ada@runai.example", "resetPassword": False}).data
    assert user["username"] in names(users.get_users(filter_by="username==ada@runai.example"), "username")
    users.delete_user_by_id(user["id"])
    print("created, found and deleted a user")

    refused(lambda: applications.get_application_by_id(made["id"]), ApiException)
    print("was refused what is gone")


process, *where = start()
try:
    try_out(*where)
finally:
    process.terminate()
    print(process.communicate()[0], end="")
