#!/bin/sh
# Makes the root filesystem of the base image as a tar: build.sh TARGET_DIRECTORY MIRROR SECURITY_MIRROR
# Needs root and debootstrap. Writes TARGET_DIRECTORY/base.tar; whoever calls it removes the directory.
set -eu

# debootstrap mounts /proc in the new system. In a mount namespace of our own nothing stays mounted, however this ends.
if [ -z "${IN_OWN_NAMESPACE:-}" ] && unshare --mount true 2>/dev/null; then
    export IN_OWN_NAMESPACE=1
    exec unshare --mount "$0" "$@"
fi

target=$1 mirror=$2 security=$3
suite=bookworm
root=$target/root
umask 022
mkdir -p "$root"

case "$mirror $security" in
    *https:*) include=--include=ca-certificates ;;
    *) include= ;;
esac
# shellcheck disable=SC2086  # no word at all when empty
debootstrap --variant=minbase $include "$suite" "$root" "$mirror"

# Later layers stay small: no documentation, manuals or translations; licences stay.
cat > "$root/etc/dpkg/dpkg.cfg.d/image" <<CONF
path-exclude=/usr/share/man/*
path-exclude=/usr/share/info/*
path-exclude=/usr/share/locale/*
path-exclude=/usr/share/lintian/*
path-exclude=/usr/share/doc/*
path-include=/usr/share/doc/*/copyright
force-unsafe-io
CONF
cat > "$root/etc/apt/apt.conf.d/image" <<CONF
APT::Install-Recommends "false";
APT::Install-Suggests "false";
Acquire::Languages "none";
Dir::Cache::pkgcache "";
Dir::Cache::srcpkgcache "";
DPkg::Post-Invoke { "rm -f /var/cache/apt/archives/*.deb || true"; };
CONF
# Packages that start a service when they are installed must not do so in a build.
printf '#!/bin/sh\nexit 101\n' > "$root/usr/sbin/policy-rc.d"
chmod 755 "$root/usr/sbin/policy-rc.d"
cat > "$root/etc/apt/sources.list" <<CONF
deb $mirror $suite main
deb $mirror $suite-updates main
deb $security $suite-security main
CONF
rm -f "$root/etc/resolv.conf" "$root/etc/hostname"

tar --create --file "$target/base.tar" --directory "$root" --numeric-owner \
    --exclude='./var/cache/apt/*' --exclude='./var/lib/apt/lists/*' --exclude='./var/log/*' --exclude='./var/cache/debconf/*-old' \
    --exclude='./usr/share/man/*' --exclude='./usr/share/info/*' --exclude='./usr/share/locale/*' \
    --exclude='./usr/share/lintian/*' --exclude='./usr/share/doc/*/[!c]*' --exclude='./dev/*' --exclude='./proc/*' --exclude='./sys/*' .
