# shellcheck shell=bash
# What the tests need beside Bun: server programs and a browser, installed from Debian's
# packages when they are missing and we may. No service is left running: the tests start their
# own, on private ports and folders. To be sourced after bun.sh, which sets `root` and `say`.
# shellcheck disable=SC2154

# Debian keeps PostgreSQL's server programs off the PATH.
find_postgres() {
  command -v initdb >/dev/null && return 0
  local folder
  for folder in $(find /usr/lib/postgresql -maxdepth 2 -name bin 2>/dev/null | sort -rV); do
    [[ -x "$folder/initdb" ]] && return 0
  done
  return 1
}

find_faketime() { ls /usr/lib/*/faketime/libfaketime.so.1 >/dev/null 2>&1; }

missing_packages() {
  command -v redis-server >/dev/null || printf 'redis-server\n'
  find_postgres || printf 'postgresql\n'
  command -v pgbouncer >/dev/null || [[ -x /usr/sbin/pgbouncer ]] || printf 'pgbouncer\n'
  command -v openssl >/dev/null || printf 'openssl\n'
  # For signed mail.
  command -v gpg >/dev/null || printf 'gnupg\n'
  # For the board and the console; the tests start it from this very path.
  [[ -x "${TEST_CHROMIUM:-/usr/bin/chromium}" ]] || printf 'chromium\n'
  # For the load balancer of the compose file.
  command -v caddy >/dev/null || printf 'caddy\n'
  # For clocks.long.ts only.
  [[ -z "${is_long:-}" ]] || find_faketime || printf 'libfaketime\n'
}

# Installs without letting any package start its service, then restores the machine's policy.
apt_install() {
  local as_root=() policy=/usr/sbin/policy-rc.d ours=""
  if [[ "$(id -u)" != 0 ]]; then as_root=(sudo -n); fi
  if [[ ! -e "$policy" ]]; then
    ours=1
    printf '#!/bin/sh\nexit 101\n' | "${as_root[@]}" tee "$policy" >/dev/null
    "${as_root[@]}" chmod +x "$policy"
  fi
  local status=0
  {
    "${as_root[@]}" apt-get update -qq &&
      "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive \
        apt-get -o DPkg::Lock::Timeout=300 install -y -qq --no-install-recommends "$@"
  } >"$root/.cache/apt.log" 2>&1 </dev/null || status=$?
  if [[ -n "$ours" ]]; then "${as_root[@]}" rm -f "$policy"; fi
  return "$status"
}

deno_version=2.9.6

# For the typed client, into .cache/deno. Its npm package holds the program itself, so that no
# install script need run; where npm has none for this machine, the test of Deno is left out.
install_deno() {
  local folder="$root/.cache/deno" binary
  if command -v deno >/dev/null || [[ -x "$folder/deno" ]]; then return 0; fi
  command -v npm >/dev/null || return 0
  say "fetching Deno $deno_version into .cache/deno (once)"
  mkdir -p "$folder"
  printf '{ "private": true }\n' >"$folder/package.json"
  npm install --prefix "$folder" --ignore-scripts --no-audit --no-fund --no-update-notifier \
    --loglevel=error "deno@$deno_version" >"$root/.cache/npm.log" 2>&1 </dev/null || return 0
  for binary in "$folder"/node_modules/@deno/*/deno; do
    if [[ -x "$binary" ]]; then ln -sf "${binary#"$folder"/}" "$folder/deno"; fi
  done
}

install_tools() {
  local packages
  mapfile -t packages < <(missing_packages)
  [[ ${#packages[@]} -gt 0 ]] || return 0
  if ! command -v apt-get >/dev/null || { [[ "$(id -u)" != 0 ]] && ! sudo -n true 2>/dev/null; }; then
    fail "The tests need these programs: ${packages[*]}" \
      "They could not be installed from here; please install them and run this again."
  fi
  say "installing ${packages[*]}"
  mkdir -p "$root/.cache"
  apt_install "${packages[@]}" || {
    tail -n 20 "$root/.cache/apt.log" >&2
    fail "apt-get could not install ${packages[*]}."
  }
}
