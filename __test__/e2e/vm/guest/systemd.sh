#!/bin/bash
# Makes of the host's root, as this machine has it, one that systemd boots in seconds; run in it before systemd (guest/init.sh).
#
# What the host has enabled is not started here: its services belong to another machine. What systemd brings itself stays, but for what
# looks after things that a machine of the lab does not have. The agent is a unit that comes first and ends last, so that a boot or
# a power-off that hangs can be looked into.
n=$1
rm -rf /etc/systemd/system /etc/rc?.d
rm -f /.dockerenv # the host may be a container; this machine is none
units=/etc/systemd/system
mkdir -p $units/sysinit.target.wants $units/multi-user.target.wants
for unit in dbus.service dbus.socket getty.target systemd-logind.service systemd-user-sessions.service \
  systemd-ask-password-wall.path systemd-ask-password-console.path systemd-binfmt.service proc-sys-fs-binfmt_misc.automount \
  systemd-firstboot.service systemd-journal-flush.service systemd-machine-id-commit.service systemd-random-seed.service \
  systemd-sysctl.service systemd-sysusers.service systemd-tmpfiles-setup.service systemd-tmpfiles-clean.timer \
  systemd-update-utmp.service systemd-update-utmp-runlevel.service systemd-hwdb-update.service systemd-repart.service \
  systemd-remount-fs.service kmod-static-nodes.service systemd-initctl.socket sys-fs-fuse-connections.mount \
  ldconfig.service systemd-update-done.service systemd-journal-catalog-update.service; do
  ln -s /dev/null $units/$unit
done
ln -s /lib/systemd/system/remote-fs.target $units/multi-user.target.wants/remote-fs.target
rm -rf /var/log/journal /etc/fstab; : >/etc/fstab
echo "n$n" >/etc/hostname
[ -s /etc/machine-id ] || echo 0123456789abcdef0123456789abcde$n >/etc/machine-id
mkdir -p /etc/systemd/system.conf.d # an emulated machine on a busy host is slow
printf '[Manager]\nDefaultTimeoutStartSec=5min\nDefaultTimeoutStopSec=5min\n' >/etc/systemd/system.conf.d/lab.conf
cat >$units/lab-agent.service <<END
[Unit]
Description=The lab's agent
DefaultDependencies=no
IgnoreOnIsolate=yes
[Service]
ExecStart=/bin/bash -c 'exec 3<>/dev/ttyS1; stty raw -echo clocal <&3; exec /usr/bin/env -i "\$\$@"' agent $ENVIRONMENT /bin/bash /lab/boot/agent.sh $n
StandardOutput=null
StandardError=null
END
ln -s ../lab-agent.service $units/sysinit.target.wants/lab-agent.service
echo 7 >/proc/sys/kernel/printk # all kernel messages go to the console's log from here on
