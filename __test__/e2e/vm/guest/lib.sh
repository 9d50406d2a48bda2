# Functions for commands that run in a machine; written without forks where possible, since a fork costs milliseconds there.

load_ocfs2() { modprobe -a configfs ocfs2 ocfs2_stack_o2cb ocfs2_stack_user ocfs2_dlmfs; }

mount_control() { # [dlmfs]
  mountpoint_type /sys/kernel/config configfs || mount -t configfs none /sys/kernel/config || return
  mountpoint_type /sys/kernel/debug debugfs || mount -t debugfs none /sys/kernel/debug || return
  [ "$1" = dlmfs ] || return 0
  mkdir -p /dlm; mountpoint_type /dlm ocfs2_dlmfs || mount -t ocfs2_dlmfs none /dlm
}

mountpoint_type() { # DIRECTORY TYPE: whether a file system of that type is mounted there
  local line; local -a f
  while read -r line; do f=($line); [ "${f[1]}" = "$1" ] && [ "${f[2]}" = "$2" ] && return 0; done </proc/mounts
  return 1
}

# What of the cluster group exists here, one line each:
#   region CLUSTER NAME | semaphores KEY ID COUNT | mount SOURCE DIRECTORY TYPE | domain NAME
group_state() {
  local p line; local -a f
  for p in /sys/kernel/config/cluster/*/heartbeat/*/; do
    [ -d "$p" ] || continue
    p=${p%/}; line=${p#/sys/kernel/config/cluster/}; echo "region ${line%%/*} ${p##*/}"
  done
  while read -r -a f; do [ "${f[0]}" = key ] || echo "semaphores ${f[0]} ${f[1]} ${f[3]}"; done </proc/sysvipc/sem
  while read -r -a f; do
    [ "${f[2]}" = ocfs2 ] && echo "mount ${f[0]} ${f[1]} ${f[2]}"
  done </proc/mounts
  for p in /sys/kernel/debug/o2dlm/*/; do [ -d "$p" ] && { p=${p%/}; echo "domain ${p##*/}"; }; done
  return 0
}

# Where the kernel has the tasks of a process group: for the report about a command that does not end.
group_stacks() { # GROUP
  local p line; local -a f
  for p in /proc/[0-9]*; do
    read -r line <"$p/stat" || continue
    f=(${line##*) }); [ "${f[2]}" = "$1" ] || continue
    line=; IFS= read -r -d '' line <"$p/cmdline" || true
    echo "${p#/proc/} ${f[0]} $line"; cat "$p/stack"
  done
}

# Undoes what scenarios leave. Nobody is told of the unmounts: what the regions need is done here.
reset_group() {
  local p kind a b; local -a mounts=()
  [ -e /proc/sys/fs/ocfs2/nm/hb_ctl_path ] && echo >/proc/sys/fs/ocfs2/nm/hb_ctl_path
  while read -r kind a b _; do [ "$kind" = mount ] && mounts=("$b" "${mounts[@]}"); done < <(group_state)
  for p in "${mounts[@]}"; do umount -i "$p" || return; done
  if mountpoint_type /dlm ocfs2_dlmfs; then umount -i /dlm || return; fi
  for p in /sys/kernel/config/cluster/*/heartbeat/*/ /sys/kernel/config/cluster/*/node/*/ /sys/kernel/config/cluster/*/; do
    [ ! -d "$p" ] || rmdir "$p" || return
  done
  while read -r kind a b _; do [ "$kind" != semaphores ] || ipcrm -s "$b" || return; done < <(group_state)
  [ -e /proc/sys/fs/ocfs2/nm/hb_ctl_path ] && echo /sbin/ocfs2_hb_ctl >/proc/sys/fs/ocfs2/nm/hb_ctl_path
  rm -f /etc/ocfs2/cluster.conf
}
