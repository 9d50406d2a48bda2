# What the kernel holds for one volume, as one line of JSON: volume-state.pl UUID KEY DEVICE
# KEY is the number of its semaphore set (group-api 3.6), DEVICE the kernel's name of its disk. Looks only, creates nothing.
use strict;
use warnings;
my ($uuid, $key, $device) = @ARGV;

sub text {
  my ($path) = @_;
  open(my $file, '<', $path) or return undef;
  my $line = <$file>;
  return undef unless defined $line;
  chomp $line;
  return $line;
}
sub quoted { my ($value) = @_; return defined $value ? "\"$value\"" : 'null' }
sub truth { return $_[0] ? 'true' : 'false' }

my ($region) = glob("/sys/kernel/config/cluster/*/heartbeat/$uuid");
my $there = defined $region && -d $region;
my $set = semget($key, 0, 0);
my $count = defined $set ? semctl($set, 1, 12, 0) : undef; # GETVAL of the references
my $elapsed = text("/sys/kernel/debug/o2hb/$uuid/elapsed_time_in_ms");
my @records = map { s{.*/}{}r } glob("/run/ocfs2-group/joins/$uuid.*");
my @mounts;
open(my $table, '<', '/proc/self/mountinfo') or die "$!\n";
while (<$table>) {
  my @fields = split ' ';
  my ($type, $source) = / - (\S+) (\S+)/;
  push @mounts, $fields[4] if $type eq 'ocfs2' && $source eq "/dev/$device";
}
printf "{\"region\":%s,\"dev\":%s,\"elapsedMs\":%s,\"hasSet\":%s,\"references\":%s,\"superblock\":%s,\"domain\":%s,"
  . "\"mounts\":[%s],\"records\":[%s]}\n",
  truth($there), quoted($there ? text("$region/dev") : undef), defined $elapsed ? $elapsed + 0 : 'null',
  truth(defined $set), defined $count ? $count + 0 : 0,
  truth(-e "/sys/fs/ocfs2/$device" || -e "/sys/kernel/debug/ocfs2/$uuid"), truth(-d "/sys/kernel/debug/o2dlm/$uuid"),
  join(',', map { quoted($_) } @mounts), join(',', map { quoted($_) } @records);
