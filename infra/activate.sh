# source infra/activate.sh: the project's tools on the PATH, the settings of .env
# (or $ENV_FILE, relative to the project) in the environment. For bash and zsh.
LAKEHOUSE_REPO="$(cd "$(dirname "${BASH_SOURCE[0]:-$0}")/.." && pwd)"
LAKEHOUSE_ENV="$(cd "$LAKEHOUSE_REPO" && realpath -m -- "${ENV_FILE:-.env}")"
if [ ! -f "$LAKEHOUSE_ENV" ]; then
  echo "error: there is no $LAKEHOUSE_ENV; run \`make env\`, or \`make up\`" >&2
  return 1
fi
# Read by the library that reads it everywhere else, so that quotes mean the same.
eval "$("$LAKEHOUSE_REPO/.venv/bin/dotenv" -f "$LAKEHOUSE_ENV" list --format export)"
export NO_PROXY="${NO_PROXY:+$NO_PROXY,}127.0.0.1" # loopback never goes through a proxy
export no_proxy="$NO_PROXY"
PATH="$LAKEHOUSE_REPO/.venv/bin:$PATH"
# Feast imports its online store from here (feast_repo/feature_store.yaml), in any folder.
export PYTHONPATH="$LAKEHOUSE_REPO"
