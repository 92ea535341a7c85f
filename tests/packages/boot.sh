#!/bin/sh
# Becomes the first process of a machine: `unshare` has given it namespaces of its own; here it gets
# the file systems that systemd wants, and $1 as its root.
set -eu
mount --make-rprivate /
mount --bind "$1" "$1"
cd "$1"
mount -t tmpfs tmpfs run
mount -t proc proc proc
mount -t sysfs sysfs sys
mount -t cgroup2 cgroup2 sys/fs/cgroup
mount -t tmpfs tmpfs dev
for device in null zero full random urandom tty; do
    touch "dev/$device"
    mount --bind "/dev/$device" "dev/$device"
done
mkdir dev/pts dev/shm dev/mqueue dev/hugepages
mount -t devpts devpts dev/pts -o newinstance,ptmxmode=0666
ln -s pts/ptmx dev/ptmx
ln -s /proc/self/fd dev/fd
# What a machine has for terminals and logins; nobody sits before this one.
for unit in getty.target systemd-logind.service systemd-update-utmp.service; do
    ln -s /dev/null "etc/systemd/system/$unit"
done
mkdir run/old
pivot_root . run/old
umount -l /run/old
exec env -i container=test PATH=/usr/sbin:/usr/bin:/sbin:/bin /sbin/init
