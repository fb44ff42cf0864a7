#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-or-later
# On the emulated host: give the DASD away (give UUID), take it back (take UUID), checksum what is on it (sum).
set -eu

device=0.0.7e52
subchannel=0.0.16ca
css=/sys/bus/css
busy=/sys/bus/mdev/devices

case $1 in
give)
	chccwdev -d $device
	modprobe vfio_ccw
	echo vfio_ccw >$css/devices/$subchannel/driver_override
	echo $subchannel >$css/drivers/io_subchannel/unbind
	echo $subchannel >$css/drivers/vfio_ccw/bind
	echo "$2" >$css/devices/$subchannel/mdev_supported_types/vfio_ccw-io/create
	;;
group)
	basename "$(readlink "$busy/$2/iommu_group")"
	;;
take)
	echo 1 >"$busy/$2/remove"
	echo $subchannel >$css/drivers/vfio_ccw/unbind
	echo >$css/devices/$subchannel/driver_override
	echo $subchannel >$css/drivers/io_subchannel/bind
	echo 1 >/proc/cio_settle
	chccwdev -e $device
	;;
sum)
	block=$(ls /sys/bus/ccw/devices/$device/block)
	dd if="/dev/$block" bs=64k skip=64 count=32 2>/dev/null | sha256sum | cut -d' ' -f1
	;;
esac
