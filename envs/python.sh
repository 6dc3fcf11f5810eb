#!/bin/sh
# Print the path of a Python 3.11 or 3.12: PYTHON if it is set, else one on the PATH, else one that uv finds or installs.
# make env calls it: sh envs/python.sh .venv. What has to be downloaded goes into that folder.
venv=${1:-.venv}
requirements=${0%/*}/uv.txt
pinned=3.12.16 # one that the uv of envs/uv.txt can install
reason='there is no python3 to fetch it with'
output=

# Print a Python's path if its version is supported
supported() {
    "$@" -c 'import sys; sys.version_info[:2] in ((3, 11), (3, 12)) or sys.exit(1); print(sys.executable)' 2>/dev/null
}

uv_on_the_path() {
    uv=$(command -v uv)
}

# The pinned uv, in an environment of its own; any Python will do for that
fetched_uv() {
    command -v python3 >/dev/null || return
    reason='python3 cannot create environments; on Debian and Ubuntu, apt install python3-venv'
    python3 -m venv "$venv/uv" >/dev/null 2>&1 || return
    reason='pip could not install it'
    uv=$venv/uv/bin/uv
    output=$("$venv/uv/bin/python" -m pip install --quiet --no-deps --require-hashes -r "$requirements" 2>&1)
}

# --system: not the environment that is being set up
find_python() {
    supported "$("$uv" python find --system "$1" 2>/dev/null)"
}

# uv's own settings count, a mirror for example; no command is put into the user's folders
install_python() {
    reason="it could not install CPython $pinned"
    export UV_PYTHON_INSTALL_DIR="${UV_PYTHON_INSTALL_DIR:-$venv/python}" UV_PYTHON_INSTALL_BIN=0
    output=$("$uv" python install "$pinned" 2>&1) && find_python "$pinned"
}

fail() {
    echo "bleuprint: $1" >&2
    exit 1
}

if [ -n "${PYTHON:-}" ]; then
    # A path, or a command with arguments
    supported "$PYTHON" || supported $PYTHON || fail "PYTHON=$PYTHON is not a Python 3.11 or 3.12; name another one, or \
none: then make env looks for one."
    exit
fi
for python in python3 python3.12 python3.11; do
    supported "$python" && exit
done

echo "bleuprint: no Python 3.11 or 3.12 is on the PATH; uv finds one, or installs CPython $pinned." >&2
for source in uv_on_the_path fetched_uv; do
    "$source" || continue
    find_python 'cpython>=3.11,<3.13' && exit
    install_python && exit
done
last=$(printf '%s\n' "$output" | sed -nE 's/^ *(ERROR|error|cause): //p' | tail -n 1)
fail "there is no Python 3.11 or 3.12, and uv could not help: $reason${last:+ ($last)}. Install one with apt or dnf \
(python3.12, with python3.12-venv), with uv (uv python install 3.12) or with conda (conda create -n py312 python=3.12), \
and name it: make env PYTHON=its path."
