#!/usr/bin/env bash
# Installs the Debian packages that some tests run against. Never fatal: those tests skip without them.
set -u
packages=(openssh-server postgresql mariadb-server redis-server)
missing=()
for package in "${packages[@]}"; do
  dpkg-query --show --showformat='${db:Status-Status}' "$package" 2>/dev/null | grep -qx installed || missing+=("$package")
done
[ ${#missing[@]} -eq 0 ] && exit 0
if ! command -v apt-get >/dev/null || [ "$(id -u)" -ne 0 ]; then
  echo "Not installed: ${missing[*]} (needs apt-get and root)"
  exit 0
fi
export DEBIAN_FRONTEND=noninteractive
timeout 300 apt-get -qq update && timeout 300 apt-get -qq install --yes --no-install-recommends "${missing[@]}" >/dev/null
exit 0
