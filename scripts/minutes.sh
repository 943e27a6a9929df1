# Sourced: runs in the repository's root, and says at the end how long all of it took.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
# Hundreds of short programs import the same modules; without byte code each compiles them anew.
unset PYTHONDONTWRITEBYTECODE
warmroot_title=${0##*/}
warmroot_finish() {
  local code=$? outcome=done
  [ "$code" -eq 0 ] || outcome="failed (exit code $code)"
  printf '%s: %s after %d min %02d s in all.\n' "$warmroot_title" "$outcome" $((SECONDS / 60)) $((SECONDS % 60)) >&2
  exit "$code"
}
trap warmroot_finish EXIT
