#!/bin/sh
# Makes a virtual environment and installs this project into it, or returns at once where that was done before.
#
#   tools/environment.sh FOLDER [EXTRA]
#
# "Done before" means: the same pyproject.toml, the same place and the same extra, noted in FOLDER/.stamp. The stamp is
# written last, so an interrupted installation is finished by the next call. A stamp of content, not of file times: a
# checkout that only touches pyproject.toml installs nothing again.
set -eu

folder=$1
extra=${2:-}
root=$(cd "$(dirname "$0")/.." && pwd)
cd "$root"

fail() {
    printf '%s\n' "Error: $*" >&2
    exit 1
}

find_python() {
    for candidate in "${PYTHON:-}" python3 python3.13 python3.12 python3.11 python3.14; do
        # Run it: a name on the path may be a version manager's shim with nothing behind it.
        if [ -n "$candidate" ] && "$candidate" -c 'import sys; sys.exit(sys.version_info < (3, 11))' >/dev/null 2>&1; then
            command -v "$candidate"
            return
        fi
    done
    fail "no Python 3.11 or newer was found (tried python3, python3.13, python3.12, python3.11, python3.14)." \
        "Install one from your system's packages or https://www.python.org/downloads/, or name it: make PYTHON=/path/to/python3"
}

make_folder() {
    python=$(find_python)
    # --clear: an environment whose Python was removed or moved cannot be repaired in place.
    if "$python" -c 'import ensurepip' >/dev/null 2>&1; then
        "$python" -m venv --clear "$folder"
    elif "$python" -m pip --version >/dev/null 2>&1; then
        # Debian and Ubuntu ship ensurepip apart; a pip that is there can still fill the new environment.
        "$python" -m venv --clear --without-pip "$folder"
        "$python" -m pip --python "$folder/bin/python" install --quiet --disable-pip-version-check pip ||
            fail "pip could not be put into $folder. Install your system's venv package (Debian, Ubuntu: apt-get install python3-venv) and call again."
    else
        fail "$python can make no virtual environment: it has neither ensurepip nor pip." \
            "Install your system's venv package (Debian, Ubuntu: apt-get install python3-venv) and call again."
    fi
}

works() {
    "$folder/bin/python" -c 'import pip' >/dev/null 2>&1
}

identity() {
    printf '%s\n' "place $root" "extra $extra"
    "$folder/bin/python" -c 'import hashlib, pathlib, sys
print("python", sys.version.split()[0])
print("pyproject.toml", hashlib.sha256(pathlib.Path("pyproject.toml").read_bytes()).hexdigest())'
}

works || make_folder
wanted=$(identity)
if [ -f "$folder/.stamp" ] && [ "$(cat "$folder/.stamp")" = "$wanted" ]; then
    exit 0
fi

case $extra in
"") printf '%s\n' "Installing dermaloop into $folder (once; about half a minute on a plain connection) ..." >&2 ;;
follow-up) printf '%s\n' "Installing dermaloop[$extra] into $folder (once; about a minute on a plain connection) ..." >&2 ;;
*) printf '%s\n' "Installing dermaloop[$extra] into $folder (once; several gigabytes and some minutes, for PyTorch) ..." >&2 ;;
esac
rm -f "$folder/.stamp"
"$folder/bin/python" -m pip install --quiet --no-input --disable-pip-version-check --editable ".${extra:+[$extra]}" ||
    fail "the installation into $folder failed; pip's message is above. Without a connection to the package index, try again when there is one."
printf '%s\n' "$wanted" >"$folder/.stamp"
