#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-or-later
# On the emulated host, for a DASD as a mediated device, each with UUID DEVICE SUBCHANNEL:
# give it away, take it back, checksum what is on it (sum). group UUID: its number. path CHPID on|off.
set -eu

action=$1 uuid=$2 device=${3-} subchannel=${4-}
css=/sys/bus/css
mdev=/sys/bus/mdev/devices/$uuid

case $action in
give)
	[ "$(cat "/sys/bus/ccw/devices/$device/online")" = 0 ] || chccwdev -d "$device"
	modprobe vfio_ccw
	echo vfio_ccw >"$css/devices/$subchannel/driver_override"
	echo "$subchannel" >$css/drivers/io_subchannel/unbind
	echo "$subchannel" >$css/drivers/vfio_ccw/bind
	echo "$uuid" >"$css/devices/$subchannel/mdev_supported_types/vfio_ccw-io/create"
	;;
group)
	basename "$(readlink "$mdev/iommu_group")"
	;;
take)
	echo 1 >"$mdev/remove"
	echo "$subchannel" >$css/drivers/vfio_ccw/unbind
	echo >"$css/devices/$subchannel/driver_override"
	echo "$subchannel" >$css/drivers/io_subchannel/bind
	echo 1 >/proc/cio_settle
	chccwdev -e "$device"
	;;
sum)
	block=$(ls "/sys/bus/ccw/devices/$device/block")
	dd if="/dev/$block" bs=64k skip=64 count=32 2>/dev/null | sha256sum | cut -d' ' -f1
	;;
path)
	echo "$3" >"/sys/devices/css0/chp0.$2/status"
	;;
esac
