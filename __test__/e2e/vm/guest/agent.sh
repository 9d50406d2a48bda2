#!/bin/bash
# The lab's agent in a machine. As process 1 it only starts itself again and reaps orphans; the child serves the control
# line, descriptor 3 (the second serial port, raw), one short message per line:
#   run ID              start /lab/nN/ID.cmd with ID.in as input, ID.out and ID.err as outputs   -> started ID PID
#                       when it has ended (times: seconds since the machine's boot)               -> done ID STATUS START END
#   kill PID SIGNAL     PID is a process, or a process group where negative                      -> killed PID STATUS
# Each command is sourced by a subshell in a process group of its own (job control, `set -m`), so that the shell costs no
# exec and SIGINT is not ignored as it is for plain background jobs. The functions of lib.sh are there for it.
if [ $$ = 1 ]; then
  echo 7 >/proc/sys/kernel/printk # all kernel messages go to the console's log from here on
  set -m # a job of a shell without job control would ignore SIGINT, and so would all it starts
  bash "$0" "$1" &
  wait $!
  echo "lab: the agent ended with status $?"; echo o >/proc/sysrq-trigger
  while :; do sleep 60; done
fi
exec 2>/dev/null # what bash says about killed jobs
set -m
NODE=$1
. /lab/boot/lib.sh
cd /root

serve() { # ID
  local f=/lab/n$NODE/$1 start end status
  set -m
  read -r start _ </proc/uptime
  (set +m; exec 3>&-; . "$f.cmd") <"$f.in" >"$f.out" 2>"$f.err" &
  printf 'started %s %s\n' "$1" $! >&3
  wait -f $!; status=$?
  read -r end _ </proc/uptime
  printf 'done %s %s %s %s\n' "$1" $status "$start" "$end" >&3
}

read -r up _ </proc/uptime
printf 'ready %s\n' "$up" >&3
while read -r verb a b <&3; do
  case $verb in
    run) serve "$a" & ;;
    kill) kill -s "$b" -- "$a"; printf 'killed %s %s\n' "$a" $? >&3 ;;
    *) printf 'unknown %s\n' "$verb" >&3 ;;
  esac
done
