# shellcheck shell=sh
# SPDX-License-Identifier: GPL-3.0-or-later
# Runs a recording script (data/*.init) again inside an emulated host: `busybox sh replay.sh SCRIPT`.
# busybox prefers its own applets to commands of that name in PATH, and would ask the real kernel to load a module or
# to mount a DASD; so the commands that an emulated host brings are called by their path. What is printed is unchanged.
BIN=/usr/local/sbin
export COMMANDS="s@(^|[;&|] *)(insmod|rmmod|modprobe|mount|dmesg) @\1$BIN/\2 @g"
insmod() { $BIN/insmod "$@"; }
mount() { case "$*" in *"-t proc"* | *"-t sysfs"* | *"-t devtmpfs"*) ;; *) $BIN/mount "$@" ;; esac; }
dmesg() { case "$*" in "-n "*) ;; *) $BIN/dmesg "$@" ;; esac; }
# busybox's insists on a block device node
mke2fs() { /usr/sbin/mke2fs -q -F "$@"; }
uname() { $BIN/uname "$@"; }
sleep() { usleep $(($1 * 100000)); }
poweroff() { :; }

mkdir -p /tmp/replay
# the recorded machine had its modules in one folder
find /lib/modules -name '*.ko' -exec ln -sf {} /lib/modules/ \;
# shellcheck disable=SC2016
sed -e '/^\/bin\/busybox --install/d' \
    -e 's/^try() {.*/try() { echo "$ $*"; sh -c "$(echo "$*" | sed -E "$COMMANDS")" 2>\&1; rc=$?; [ $rc = 0 ] || echo "[rc=$rc]"; }/' \
    "$1" > /tmp/replay/script
# shellcheck disable=SC1091
. /tmp/replay/script
