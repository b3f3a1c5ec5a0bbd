# source infra/activate.sh: the project's tools on the PATH, the settings of .env
# (or $ENV_FILE) in the environment. For bash and zsh.
LAKEHOUSE_REPO="$(cd "$(dirname "${BASH_SOURCE[0]:-$0}")/.." && pwd)"
if [ ! -f "$LAKEHOUSE_REPO/${ENV_FILE:-.env}" ]; then
  echo "error: there is no ${ENV_FILE:-.env}; run \`make env\`, or \`make up\`" >&2
  return 1
fi
set -a
. "$LAKEHOUSE_REPO/${ENV_FILE:-.env}"
set +a
PATH="$LAKEHOUSE_REPO/.venv/bin:$PATH"
