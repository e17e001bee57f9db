# shellcheck shell=bash
# Progress lines for people. Colour only on a terminal, and never when NO_COLOR is set.

if [[ -t 2 && -z "${NO_COLOR:-}" ]]; then
  dim=$'\e[2m' green=$'\e[32m' red=$'\e[31m' plain=$'\e[0m'
else
  dim='' green='' red='' plain=''
fi

# Progress goes to stderr, so that a script's stdout stays its result.
say() { printf '%s·%s %s\n' "$dim" "$plain" "$*" >&2; }
done_with() { printf '%s✓%s %s\n' "$green" "$plain" "$*" >&2; }
fail() {
  printf '%s✗%s %s\n' "$red" "$plain" "$1" >&2
  shift
  local line
  for line in "$@"; do printf '  %s\n' "$line" >&2; done
  exit 1
}
