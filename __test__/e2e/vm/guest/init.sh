#!/bin/busybox sh
# The first program of a machine, run by busybox from the initrd. It loads what the root needs, mounts the host's / (9p,
# read-only) under a tmpfs overlay, sets up the network and the control line, and hands over to guest/agent.sh, or to the
# systemd of that root, which starts the agent (guest/systemd.sh). /lab/boot/before is run ahead of both.
# On any failure it says so on the console and powers the machine off: the lab reports the console's end.
PATH=/bin
die() { echo "lab: $*"; echo o >/proc/sysrq-trigger; sleep 60; }
mount -t proc proc /proc && mount -t sysfs sys /sys && mount -t devtmpfs dev /dev || die "no proc, sysfs or devtmpfs"
for m in /modules/*; do insmod "$m" || die "insmod $m failed"; done
p9=trans=virtio,version=9p2000.L,msize=512000
mount -t 9p -o "$p9,ro,cache=loose" root /host || die "cannot mount the host's root"
mount -t tmpfs tmpfs /rw && mkdir /rw/upper /rw/work
mount -t overlay -o lowerdir=/host,upperdir=/rw/upper,workdir=/rw/work overlay /new || die "cannot mount the overlay"
mkdir -p /new/lab
mount -t 9p -o "$p9,rw,cache=none" lab /new/lab || die "cannot mount the lab's directory"
. /new/lab/boot/settings
# modprobe and the kernel's own requests for modules work as on an installed machine
v=$(uname -r); mkdir -p "/new/usr/lib/modules/$v"
mount -o bind "/host$MODULES/$v" "/new/usr/lib/modules/$v" || die "no modules of $v under $MODULES"
for d in proc sys dev; do mount -o move /$d /new/$d; done
cd /new
mkdir -p dev/pts dev/shm
mount -t devpts -o mode=620,ptmxmode=666 devpts dev/pts; mount -t tmpfs tmpfs dev/shm
ln -s /proc/self/fd dev/fd; ln -s fd/0 dev/stdin; ln -s fd/1 dev/stdout; ln -s fd/2 dev/stderr
mount -t tmpfs -o mode=755 tmpfs run; mkdir -p run/mount run/lock; mount -t tmpfs -o mode=1777 tmpfs tmp
n=$(sed -n 's/.*lab\.node=\([0-9]*\).*/\1/p' proc/cmdline)
echo "n$n" >proc/sys/kernel/hostname
ifconfig lo 127.0.0.1 up; ifconfig eth0 "10.9.0.$n" netmask 255.255.255.0 up
export ENVIRONMENT="PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin HOME=/root TERM=dumb LANG=C.UTF-8"
inside() { busybox chroot /new /usr/bin/env -i $ENVIRONMENT "ENVIRONMENT=$ENVIRONMENT" "$@"; }
if [ "$INIT" = systemd ]; then inside /bin/bash /lab/boot/systemd.sh "$n" || die "systemd's boot cannot be prepared"; fi
if [ -e lab/boot/before ]; then
  inside /bin/bash -c '. /lab/boot/lib.sh; cd /root; . /lab/boot/before' >/dev/console 2>&1 || die "what goes before the boot failed"
fi
[ "$INIT" != systemd ] || exec switch_root /new /usr/bin/env -i $ENVIRONMENT /lib/systemd/systemd
exec 3<>dev/ttyS1 || die "no second serial port"
stty raw -echo clocal <&3
exec switch_root /new /usr/bin/env -i $ENVIRONMENT /bin/bash /lab/boot/agent.sh "$n"
