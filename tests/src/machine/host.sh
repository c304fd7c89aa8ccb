# The life of one host, as the root user: boots systemd in namespaces of its own, again whenever it reboots, waits until the input is
# closed, switches off, and removes the control group. Everything is mounted inside the namespaces and goes with them.
#
# Arguments: a folder to mount on, a name, a new control group, and further options for unshare.
set -eu
folder=$1 name=$2 cgroup=$3
shift 3

# What stays over a reboot: the disk.
disk='
set -eu
folder=$1 name=$2 inside=$3
shift 3
# Below is the root of this machine, left untouched; what the host writes goes to memory.
mount -t tmpfs -o mode=755 upper "$folder"
mkdir "$folder/changes" "$folder/work" "$folder/root"
mount -t overlay -o "lowerdir=/,upperdir=$folder/changes,workdir=$folder/work" root "$folder/root"
(
    cd "$folder/root"
    mkdir -p proc sys run tmp dev mnt
    tr -d - </proc/sys/kernel/random/uuid >etc/machine-id
    echo "$name" >etc/hostname
    : >etc/fstab
    # Services of this machine shall not run a second time.
    rm -rf etc/systemd/system/*.wants etc/systemd/system/*.requires etc/rc?.d run/systemd
    for unit in getty.target systemd-udevd.service systemd-udev-trigger.service systemd-timesyncd.service \
        systemd-resolved.service systemd-networkd.service; do
        ln -sf /dev/null "etc/systemd/system/$unit"
    done
)
while :; do
    # The kernel ends the first process of a host by SIGHUP when the host asks for a reboot, by SIGINT when it is switched off.
    ended=0
    setpriv --pdeathsig KILL unshare --mount --uts --ipc --pid --cgroup --fork --kill-child --propagation private "$@" \
        sh -c "$inside" host "$folder" "$name" || ended=$?
    if [ "$ended" -ne 129 ]; then
        exit "$ended"
    fi
done
'

inside='
set -eu
cd "$1/root"
hostname "$2"
mount -t proc proc proc
mount -t sysfs sysfs sys
mount -t cgroup2 cgroup2 sys/fs/cgroup
for place in run:755 tmp:1777 dev:755; do
    mount -t tmpfs -o "mode=${place#*:}" "${place%:*}" "${place%:*}"
done
for node in null zero full random urandom tty; do
    : >"dev/$node"
    mount --bind "/dev/$node" "dev/$node"
done
mkdir dev/shm dev/pts
mount -t devpts -o newinstance,ptmxmode=666,mode=620,gid=5 devpts dev/pts
ln -s pts/ptmx dev/ptmx
ln -s /proc/self/fd dev/fd
pivot_root . mnt
umount -l /mnt
for init in /usr/lib/systemd/systemd /lib/systemd/systemd; do
    if [ -x "$init" ]; then
        exec env -i container=charm-tests PATH=/usr/sbin:/usr/bin:/sbin:/bin "$init" --unit=multi-user.target --log-target=journal
    fi
done
echo "there is no systemd to boot" >&2
exit 1
'

mkdir "$cgroup"
(
    # sh has no number of its own subshell; the kernel has.
    read -r own _ </proc/self/stat
    echo "$own" >"$cgroup/cgroup.procs"
    exec setsid unshare --mount --propagation private sh -c "$disk" disk "$folder" "$name" "$inside" "$@" </dev/null
) >&2 &
outer=$!
echo "$outer"

# Whoever holds the other end of the input wants the host. If that one dies, whatever way, the input closes.
read -r _ || true

children() {
    cat "/proc/$1/task/$1/children" 2>/dev/null || true
}
for boot in $(children "$outer"); do
    for leader in $(children "$boot"); do
        # systemd takes this as the order to switch off.
        kill -s RTMIN+4 "$leader" 2>/dev/null || kill -s 38 "$leader" 2>/dev/null || true
    done
done
waited=0
while kill -0 "$outer" 2>/dev/null && [ "$waited" -lt 600 ]; do
    sleep 0.05
    waited=$((waited + 1))
done
kill -KILL "$outer" 2>/dev/null || true
wait "$outer" 2>/dev/null || true
# Processes that were killed leave their group a little later.
waited=0
while [ -d "$cgroup" ] && [ "$waited" -lt 200 ]; do
    find "$cgroup" -depth -type d -exec rmdir {} + 2>/dev/null || sleep 0.05
    waited=$((waited + 1))
done
# The harness removes this itself unless it was killed.
rmdir "$folder" 2>/dev/null || true
