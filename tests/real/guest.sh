#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-or-later
# The first program of the guest: brings the passed-through DASD online, writes 2 MiB to it and reads them back.
# busybox runs it. Lines that begin with "guest:" are for tests/real/run.py.
/bin/busybox --install -s /bin
export PATH=/bin
mount -t proc proc /proc
mount -t sysfs sysfs /sys
mount -t devtmpfs dev /dev

say() { echo "guest: $*"; }
# Nothing goes on until run.py has looked.
wait_for_word() { read -r _; }
seconds() { cut -d' ' -f1 /proc/uptime; }

device=/sys/bus/ccw/devices/0.0.1231
insmod /modules/dasd_mod.ko
insmod /modules/dasd_eckd_mod.ko
say "kernel $(uname -r)"
say "device $(cat $device/cutype) $(cat $device/devtype)"
echo 1 >$device/online
say "online $(cat $device/online) $(cat $device/status) $(cat $device/uid)"
say "size $(cat /sys/block/dasda/size)"
say "seconds $(seconds)"
say "waits"
wait_for_word

dd if=/dev/urandom of=/data bs=64k count=32 2>/dev/null
dd if=/data of=/dev/dasda bs=64k seek=64 count=32 conv=fsync 2>/dev/null
say "written $(sha256sum </data | cut -d' ' -f1)"
echo 3 >/proc/sys/vm/drop_caches
say "read $(dd if=/dev/dasda bs=64k skip=64 count=32 2>/dev/null | sha256sum | cut -d' ' -f1)"
echo 0 >$device/online
say "offline $(cat $device/online)"
say "end"
poweroff -f
