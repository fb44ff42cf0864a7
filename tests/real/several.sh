#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-or-later
# The first program of a guest with three DASDs: reads from each of them round after round.
/bin/busybox --install -s /bin
export PATH=/bin
mount -t proc proc /proc
mount -t sysfs sysfs /sys
mount -t devtmpfs dev /dev

say() { echo "guest: $*"; }

insmod /modules/dasd_mod.ko
insmod /modules/dasd_eckd_mod.ko
for device in /sys/bus/ccw/devices/0.0.123*; do
	echo 1 >"$device/online"
	say "online ${device##*/} $(cat "$device/online" "$device/status" | tr '\n' ' ')"
done

round() {
	disks=0 good=0
	echo 3 >/proc/sys/vm/drop_caches
	for block in /sys/bus/ccw/devices/0.0.123*/block/*; do
		disks=$((disks + 1))
		bytes=$(dd "if=/dev/${block##*/}" bs=64k count=8 2>/dev/null | wc -c)
		[ "$bytes" = 524288 ] && good=$((good + 1))
	done
	say "read $good of $disks"
}

# A minute at most, should nothing happen
for _ in $(seq 60); do
	round
	sleep 1
done
say "end"
poweroff -f
