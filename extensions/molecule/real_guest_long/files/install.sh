#!/bin/sh
# SPDX-License-Identifier: GPL-3.0-or-later
# Copies the running system to a DASD and makes it one to start from. Argument: its bus id.
set -eux

device=$1
disk=/dev/$(ls "/sys/bus/ccw/devices/$device/block")
udevadm settle
dasdfmt -b 4096 -d cdl -y "$disk"
udevadm settle
fdasd -a "$disk"
udevadm settle
mkfs.ext4 -q "${disk}1"
mount "${disk}1" /mnt
cp -ax /. /mnt/
for directory in dev proc sys; do
	mount --bind "/$directory" "/mnt/$directory"
done
release=$(uname -r)
cat >/mnt/etc/zipl.conf <<END
[defaultboot]
default = linux
[linux]
target = /boot
image = /boot/vmlinuz-$release
ramdisk = /boot/initrd.img-$release
parameters = "root=/dev/dasda1 rd.dasd=$device rw console=ttysclp0 ccwemu.name=installed"
END
chroot /mnt zipl -V
umount -R /mnt
