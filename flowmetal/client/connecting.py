"""connect(): from an address or an open store to a client."""

from __future__ import annotations

import importlib
import os
from collections.abc import Sequence

from flowmetal.client.base import Client
from flowmetal.client.errors import BadAddress
from flowmetal.client.over_store import Deployer, StoreClient
from flowmetal.store import StoreError, open_store
from flowmetal.store.interface import Store

#: Environment variable with the token for servers, where connect() is given none.
TOKEN_VARIABLE = "FLOWMETAL_TOKEN"


def connect(
    url: str | Store, *, token: str | None = None, deploy: Deployer | None = None, create: bool = False
) -> Client:
    """A client of a store's folder (a path, "lmdb:///path"), of "memory:", of "http://host:port", or of an open store.

    `token` is for servers.  `deploy` checks and deploys artifacts where a store is connected to, instead of
    deploy_artifact.  `create` makes a store where a folder has none; without it that is S101, as a mistyped path mostly
    is one.  Raises BadAddress, StoreError; a server is first spoken to by the first method.
    """
    deployer = deploy_artifact if deploy is None else deploy
    if not isinstance(url, str):
        if not hasattr(url, "submit"):
            raise BadAddress("H502", url=repr(url)[:80])
        return StoreClient(url, deployer)
    scheme = url.partition(":")[0].lower()
    if scheme in ("http", "https") and url[len(scheme) :].startswith("://") and len(url) > len(scheme) + 3:
        # Loaded here, by the few that need it: an HTTP library is a good part of the start of a short command.
        over_http = importlib.import_module("flowmetal.client.over_http")
        client: Client = over_http.HttpClient(url, token if token is not None else os.environ.get(TOKEN_VARIABLE))
        return client
    if scheme in ("lmdb", "memory") or ("://" not in url and url):
        try:
            return StoreClient(open_store(url, create=create), deployer, owned=True)
        except StoreError as error:
            if error.code != "S109" or scheme == "lmdb":
                raise  # else it may have been meant for a server
    raise BadAddress("H502", url=url)


def deploy_artifact(store: Store, name: str, data: bytes, grants: Sequence[str] | None = None) -> bytes:
    """Checks an artifact and deploys it with the library it needs -> content hash.  FlowmetalError B1xx, StoreError.

    `grants`: None for all.

    The engine, which knows artifacts, is loaded by the first call: few clients deploy, and most should start fast.
    """
    artifacts = importlib.import_module("flowmetal.engine.artifacts")
    digest: bytes = artifacts.deploy(store, data, name, grants)
    return digest
