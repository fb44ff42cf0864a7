#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-or-later
# The first program of a guest that does what it is told on its console, a line at a time.
/bin/busybox --install -s /bin
export PATH=/bin
mount -t proc proc /proc
mount -t sysfs sysfs /sys
mount -t devtmpfs dev /dev
stty -echo

say() { echo "guest: $*"; }
ccw=/sys/bus/ccw/devices
block() { ls "$ccw/$1/block"; }
forget() { echo 3 >/proc/sys/vm/drop_caches; }
online() { echo "$2" >"$ccw/$1/online" && [ "$(cat "$ccw/$1/online")" = "$2" ]; }
# Look until a command succeeds; half a minute.
try() {
	for _ in $(seq 300); do
		"$@" && return 0
		usleep 100000
	done
	return 1
}
appears() { try [ -e "$ccw/$1/devtype" ]; }
vanishes() { try [ ! -e "$ccw/$1" ]; }
is_available() { [ "$(cat "$ccw/$1/availability")" = "$2" ]; }
available() { try is_available "$@"; }
# A process of this name waits in the kernel (state D).
is_blocked() {
	for status in /proc/[0-9]*/status; do
		grep -q "^Name:.*$1" "$status" && grep -q '^State:.D' "$status" && return 0
	done 2>/dev/null
	return 1
}
blocked() { try is_blocked "$@"; }

dmesg -n 1 # the kernel's lines would come in between
insmod /modules/dasd_mod.ko
insmod /modules/dasd_eckd_mod.ko
say "kernel $(uname -r)"
while read -r line; do
	eval "$line"
	say "status $?"
done
