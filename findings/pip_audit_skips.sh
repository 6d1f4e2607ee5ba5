#!/usr/bin/env bash
# Pinned packages of which the database knows nothing, as behind a mirror: what does pip-audit say?
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check pip-audit==2.10.1
"$folder/venv/bin/pip-audit" --version
echo 'a-package-of-our-own==1.0' > "$folder/requirements.txt"
audit() {
  "$folder/venv/bin/pip-audit" --disable-pip --no-deps --requirement "$folder/requirements.txt" "$@" \
    > "$folder/answer.txt" 2>&1 && code=0 || code=$?
  cat "$folder/answer.txt"
  echo "pip-audit $* ended with exit code $code"
}
audit --strict
[ "$code" != 0 ] || { echo "changed: --strict used to fail"; exit 1; }
audit
if [ "$code" != 0 ] || ! grep -q "No known vulnerabilities found" "$folder/answer.txt"; then
  echo "changed: pip-audit used to find no vulnerabilities where it looked nothing up"
  exit 1
fi
