"""Start the scoring server: `python -m ml.serving`, with the settings of the environment."""

import logging

import uvicorn

from feast_repo.server import BearerToken
from feast_repo.store import open_store, use_database_user
from ml.serving.champion import ChampionWatcher, from_registry
from ml.serving.online import OnlineReader
from ml.serving.server import HEALTH, READY, make_app
from ml.settings import environment, load_settings, setting, settings_file

TOKEN_SETTING = "SCORING_TOKEN"  # noqa: S105 (its name)


def main() -> None:
    logging.basicConfig(format="%(asctime)s %(levelname)s %(message)s", level=logging.INFO)
    env = environment()
    use_database_user("SCORING_DB")  # it reads the registry and the online store, no more
    token = BearerToken(setting(env, TOKEN_SETTING), TOKEN_SETTING, open_paths=(HEALTH, READY))
    settings = load_settings(settings_file(env))
    watcher = ChampionWatcher(from_registry(env, settings))
    uvicorn.run(
        make_app(OnlineReader(open_store()), watcher, token),
        host=setting(env, "BIND_HOST"),
        port=int(setting(env, "SCORING_PORT")),
        log_level="warning",
    )


if __name__ == "__main__":
    main()
