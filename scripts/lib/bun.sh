# shellcheck shell=bash
# Finds Bun, or brings it into this checkout, and installs the dependencies. To be sourced.
#
# Afterwards `bun` is on the PATH of the calling script. Nothing is installed outside the
# checkout: a Bun we fetch ourselves lies in .cache/bun, and when HOME is missing or not
# writable the download caches lie in .cache too.

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
cache="$root/.cache"
# shellcheck source=scripts/lib/say.sh
source "$root/scripts/lib/say.sh"

# The one place that pins the version is package.json: "engines": { "bun": ">=x.y.z" }. Not
# "packageManager": pnpm refuses a checkout whose packageManager is another program.
bun_version=$(sed -n 's/.*"bun": *">=\([0-9.]*\)".*/\1/p' "$root/package.json")

# True when "$1" runs and is Bun of the pinned version or a later one.
is_bun_new_enough() {
  local found
  [[ -x "$1" ]] || return 1
  found=$("$1" --version 2>/dev/null) || return 1
  [[ "$found" =~ ^[0-9]+\.[0-9]+\.[0-9]+ ]] || return 1
  [[ "$(printf '%s\n%s\n' "$bun_version" "$found" | sort -V | head -n 1)" == "$bun_version" ]]
}

find_bun() {
  local candidate
  for candidate in "$(command -v bun || true)" "$root/node_modules/.bin/bun" "$cache/bun/bun"; do
    if [[ -n "$candidate" ]] && is_bun_new_enough "$candidate"; then
      printf '%s\n' "$candidate"
      return 0
    fi
  done
  return 1
}

# npm may be told to run no install scripts (npm 11 can be), and Bun's npm package is only a
# stub before its own has run. The platform package beside it holds the true binary, so we
# never run the script and take that binary instead.
fetch_bun() {
  command -v npm >/dev/null || fail "Bun $bun_version is needed, and neither bun nor npm is here." \
    "Install one of them, then run this again:" \
    "Node.js with npm from your system's packages (Debian: apt-get install nodejs npm)," \
    "or Bun $bun_version or later as https://bun.com/docs/installation says."
  local folder="$cache/bun" package binary
  local npm_install=(npm install --prefix "$folder" --ignore-scripts --no-audit --no-fund
    --no-update-notifier --loglevel=error)
  say "fetching Bun $bun_version into .cache/bun (once)"
  mkdir -p "$folder"
  printf '{ "private": true }\n' >"$folder/package.json"
  # A processor without AVX2 needs the "baseline" build, which npm does not choose by itself.
  for package in "bun@$bun_version" "@oven/bun-linux-x64-baseline@$bun_version"; do
    "${npm_install[@]}" "$package" >"$cache/npm.log" 2>&1 </dev/null || {
      cat "$cache/npm.log" >&2
      fail "npm could not install $package." "Is the npm registry reachable from here?"
    }
    for binary in "$folder"/node_modules/@oven/bun-*/bin/bun; do
      if is_bun_new_enough "$binary"; then
        ln -sf "${binary#"$folder"/}" "$folder/bun"
        return 0
      fi
    done
  done
  fail "The Bun that npm brought does not run on this machine ($(uname -sm))."
}

use_bun() {
  local bun
  if [[ -z "${HOME:-}" || ! -w "${HOME:-}" ]]; then
    export npm_config_cache="$cache/npm" BUN_INSTALL_CACHE_DIR="$cache/bun-install"
  fi
  bun=$(find_bun) || {
    fetch_bun
    bun="$cache/bun/bun"
  }
  # Under its own name and alone, so that a bun of another version is not found first.
  if [[ "$bun" == "$cache/bin/bun" ]]; then return 0; fi
  mkdir -p "$cache/bin"
  ln -sf "$bun" "$cache/bin/bun"
  export PATH="$cache/bin:$PATH"
}

# Installs what bun.lock names, unless that was done for this very lock file.
install_packages() {
  local stamp="$root/node_modules/.installed" lock
  lock="$(cksum <"$root/bun.lock") $(cksum <"$root/package.json")"
  if [[ -f "$stamp" && "$(cat "$stamp")" == "$lock" ]]; then return 0; fi
  say "installing packages"
  local log="$cache/install.log"
  mkdir -p "$cache"
  (cd "$root" && bun install --frozen-lockfile) >"$log" 2>&1 </dev/null || {
    cat "$log" >&2
    fail "bun install failed."
  }
  printf '%s\n' "$lock" >"$stamp"
}
