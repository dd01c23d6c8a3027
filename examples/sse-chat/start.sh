#!/bin/sh
# Starts the backend and Larder before it; Ctrl-C ends both. LARDER=PATH names a binary that is not on the path.
set -eu
cd "$(dirname "$0")"

node server.mjs 127.0.0.1:3000 &
backend=$!
"${LARDER:-larder}" serve --config larder.toml &
larder=$!
trap 'kill "$larder" "$backend"' INT TERM
# A signal ends the first wait; the second is for the requests under way.
wait "$larder" || wait "$larder" || true
kill "$backend" 2>/dev/null || true
wait
