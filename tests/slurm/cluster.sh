#!/usr/bin/env bash
# A real SLURM cluster on this machine, for tests: one controller, two virtual nodes with fake GPUs.
#   tests/slurm/cluster.sh up     install the Debian packages if need be, start, wait until it answers
#   tests/slurm/cluster.sh down   stop it and delete its folder
# Needs root and Debian (or what has its packages); no systemd, nothing but loopback. Where there are
# version 1 cgroups processes are tracked by them, as on most clusters: of a job that shall end only the
# process that SLURM itself started is signalled. Elsewhere all of its processes are.
# ACCOUNTING=1 adds slurmdbd with a database. SLURM_LAB_ROOT is the folder (default /tmp/slurm-lab),
# which must be new or empty: `down` deletes it.
# /etc/slurm/*.conf become links into it, because Snakemake's executor deletes SLURM_CONF in jobs.
set -euo pipefail
export PATH=$PATH:/usr/sbin:/sbin # where the daemons are; not every root looks there
ROOT=${SLURM_LAB_ROOT:-/tmp/slurm-lab}
ACCOUNTING=${ACCOUNTING:-0}
PORT=16817 # of the controller; the others follow it
HOST=$(hostname -s)
FREEZER=/sys/fs/cgroup/freezer
DAEMONS=(slurmd-n1 slurmd-n2 slurmctld slurmdbd mariadb munged)

fail() { echo "error: $*" >&2; exit 1; }

alive() { [ -s "$ROOT/$1.pid" ] && kill -0 "$(cat "$ROOT/$1.pid")" 2>/dev/null; }

# What this script did not make is neither filled nor deleted.
own_folder() { [ -f "$ROOT/slurm-lab" ]; }

make_folder() {
  ! own_folder || return 0
  [ ! -e "$ROOT" ] || [ -d "$ROOT" -a -z "$(ls -A "$ROOT")" ] ||
    fail "$ROOT is not empty and not the lab's: give SLURM_LAB_ROOT a new folder"
  mkdir -p "$ROOT"
  touch "$ROOT/slurm-lab"
}

refuse_other_slurm() {
  for name in slurm gres cgroup slurmdbd; do
    local place=/etc/slurm/$name.conf
    [ ! -e $place ] || [ "$(readlink $place)" = "$ROOT/$name.conf" ] ||
      fail "$place is not the lab's: this machine has a SLURM of its own"
  done
}

install_packages() {
  local wanted=()
  command -v slurmctld >/dev/null || wanted+=(slurm-wlm)
  command -v munged >/dev/null || wanted+=(munge)
  [ "$ACCOUNTING" = 0 ] || command -v slurmdbd >/dev/null || wanted+=(slurmdbd mariadb-server)
  [ ${#wanted[@]} -gt 0 ] || return 0
  command -v apt-get >/dev/null || fail "no apt-get here to install ${wanted[*]} with"
  # The packages' scripts must not start daemons of their own.
  local policy=/usr/sbin/policy-rc.d
  if [ ! -e $policy ]; then
    trap "rm -f $policy" EXIT # of this script, however it ends
    printf '#!/bin/sh\nexit 101\n' >$policy
    chmod +x $policy
  fi
  { apt-get update && DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends \
    "${wanted[@]}"; } >"$ROOT/apt.log" 2>&1 || fail "cannot install ${wanted[*]}; see $ROOT/apt.log"
}

tracking() { if [ -f $FREEZER/tasks -a -w $FREEZER ]; then echo cgroup; else echo linuxproc; fi; }

write_configuration() {
  # JobAcctGather polls memory and kills what exceeds it; MinJobAge keeps finished jobs in squeue.
  cat <<CONF
ClusterName=lab
SlurmctldHost=$HOST(127.0.0.1)
SlurmctldPort=$PORT
SlurmUser=root
SlurmdUser=root
AuthInfo=socket=$ROOT/munge.socket
CommunicationParameters=NoInAddrAny,NoCtldInAddrAny
StateSaveLocation=$ROOT/state
SlurmctldPidFile=$ROOT/slurmctld.pid
SlurmctldLogFile=$ROOT/slurmctld.log
SlurmdPidFile=$ROOT/slurmd-%n.pid
SlurmdSpoolDir=$ROOT/spool-%n
SlurmdLogFile=$ROOT/slurmd-%n.log
SlurmdParameters=config_overrides
ProctrackType=proctrack/$(tracking)
TaskPlugin=task/none
MpiDefault=none
SwitchType=switch/none
ReturnToService=0
SlurmctldTimeout=30
SlurmdTimeout=20
MinJobAge=3600
KillWait=10
InactiveLimit=0
SchedulerType=sched/backfill
SchedulerParameters=batch_sched_delay=0,sched_min_interval=0,bf_interval=2
SelectType=select/cons_tres
SelectTypeParameters=CR_Core_Memory
DefMemPerCPU=200
JobAcctGatherType=jobacct_gather/linux
JobAcctGatherFrequency=task=1
JobAcctGatherParams=OverMemoryKill
GresTypes=gpu
NodeName=n1 NodeHostname=$HOST NodeAddr=127.0.0.1 Port=$((PORT + 11)) CPUs=4 RealMemory=6000 Gres=gpu:2
NodeName=n2 NodeHostname=$HOST NodeAddr=127.0.0.1 Port=$((PORT + 12)) CPUs=4 RealMemory=6000 Gres=gpu:2
PreemptType=preempt/partition_prio
PreemptMode=REQUEUE
PartitionName=main Nodes=ALL Default=YES MaxTime=1-00:00:00 State=UP GraceTime=30
PartitionName=urgent Nodes=ALL MaxTime=1-00:00:00 State=UP PriorityTier=10 PreemptMode=OFF
CONF
  [ "$ACCOUNTING" = 0 ] || cat <<CONF
AccountingStorageType=accounting_storage/slurmdbd
AccountingStorageHost=127.0.0.1
AccountingStoragePort=$((PORT + 1))
AccountingStoragePass=$ROOT/munge.socket
AccountingStorageEnforce=associations
AccountingStorageTRES=gres/gpu
CONF
}

configure() {
  mkdir -p "$ROOT"/{state,dev,spool-n1,spool-n2} /etc/slurm
  [ -s "$ROOT/munge.key" ] || (umask 077; head -c 128 /dev/urandom >"$ROOT/munge.key")
  write_configuration >"$ROOT/slurm.conf"
  # A GRES called gpu must have device files.
  for i in 0 1; do [ -e "$ROOT/dev/gpu$i" ] || mknod -m 666 "$ROOT/dev/gpu$i" c 1 3 || : >"$ROOT/dev/gpu$i"; done
  echo "NodeName=n[1-2] Name=gpu File=$ROOT/dev/gpu[0-1]" >"$ROOT/gres.conf"
  echo CgroupPlugin=cgroup/v1 >"$ROOT/cgroup.conf" # read only where processes are tracked by them
  for name in slurm gres cgroup; do ln -sfn "$ROOT/$name.conf" /etc/slurm/$name.conf; done
}

start_accounting() {
  local socket=$ROOT/mariadb.socket
  [ -d "$ROOT/mariadb/mysql" ] || mariadb-install-db --no-defaults --user=root \
    --datadir="$ROOT/mariadb" --auth-root-authentication-method=socket --skip-test-db >/dev/null
  # In braces: else a shell stays behind, and keeps the output open that a caller reads.
  alive mariadb || { setsid mariadbd --no-defaults --user=root --datadir="$ROOT/mariadb" \
    --socket="$socket" --port=$((PORT + 3)) --bind-address=127.0.0.1 --pid-file="$ROOT/mariadb.pid" \
    --innodb-buffer-pool-size=64M --innodb-lock-wait-timeout=900 >"$ROOT/mariadb.log" 2>&1 </dev/null & }
  wait_for "the database" mariadb-admin --no-defaults -S "$socket" -u root ping
  for place in 127.0.0.1 localhost; do
    mariadb --no-defaults -S "$socket" -u root -e "CREATE USER IF NOT EXISTS 'slurm'@'$place'
      IDENTIFIED BY 'slurm'; GRANT ALL ON slurm_acct_db.* TO 'slurm'@'$place';"
  done
  (umask 077; cat >"$ROOT/slurmdbd.conf" <<CONF
DbdHost=$HOST
DbdAddr=127.0.0.1
DbdPort=$((PORT + 1))
SlurmUser=root
AuthInfo=socket=$ROOT/munge.socket
PidFile=$ROOT/slurmdbd.pid
LogFile=$ROOT/slurmdbd.log
StorageType=accounting_storage/mysql
StorageHost=127.0.0.1
StoragePort=$((PORT + 3))
StorageUser=slurm
StoragePass=slurm
StorageLoc=slurm_acct_db
CONF
  )
  ln -sfn "$ROOT/slurmdbd.conf" /etc/slurm/slurmdbd.conf
  alive slurmdbd || setsid slurmdbd </dev/null
  wait_for "slurmdbd" sacctmgr -n list cluster
  sacctmgr -i add cluster lab >/dev/null || true # it is there already
  sacctmgr -i add account lab Cluster=lab Description=lab Organization=lab >/dev/null || true
  sacctmgr -i add user root Account=lab DefaultAccount=lab AdminLevel=Admin >/dev/null || true
}

wait_for() {
  local what=$1; shift
  for _ in $(seq 120); do "$@" >/dev/null 2>&1 && return; sleep 0.5; done
  fail "$what does not answer; see the logs in $ROOT"
}

ready() { [ "$(sinfo -h -N -p main -o %T | grep -cxE "idle|mixed|allocated")" = 2 ]; }

up() {
  [ "$(id -u)" = 0 ] || fail "starting a SLURM cluster needs root"
  refuse_other_slurm
  make_folder
  install_packages
  configure
  alive munged || munged --force --key-file="$ROOT/munge.key" --socket="$ROOT/munge.socket" \
    --pid-file="$ROOT/munged.pid" --log-file="$ROOT/munged.log" --seed-file="$ROOT/munge.seed"
  [ "$ACCOUNTING" = 0 ] || start_accounting
  alive slurmctld || setsid slurmctld </dev/null
  for node in n1 n2; do alive slurmd-$node || setsid slurmd -N $node </dev/null; done
  wait_for "slurmctld with two nodes" ready
  echo "SLURM is up with two nodes in $ROOT"
}

down() {
  [ ! -e "$ROOT" ] || own_folder || fail "$ROOT is not the lab's folder and stays as it is"
  # Of the lab, whatever SLURM this machine's configuration names.
  ! alive slurmctld || SLURM_CONF=$ROOT/slurm.conf scancel --user=root 2>/dev/null || true
  for name in "${DAEMONS[@]}"; do
    alive "$name" && kill "$(cat "$ROOT/$name.pid")"
    for _ in $(seq 40); do alive "$name" || break; sleep 0.5; done
  done
  for name in slurm gres cgroup slurmdbd; do
    [ "$(readlink /etc/slurm/$name.conf)" != "$ROOT/$name.conf" ] || rm /etc/slurm/$name.conf
  done
  rm -rf "$ROOT"
}

case ${1:-} in
  up | down) "$1" ;;
  *) fail "usage: tests/slurm/cluster.sh up|down" ;;
esac
