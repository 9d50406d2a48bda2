# Opens locks in dlmfs as any program can: dlmfs.pl LEVEL HOW PATH...
#   LEVEL  pr or ex; HOW  try (O_NONBLOCK) or wait
# Says "held PATH" or "refused PATH: ERRNO" for each, then holds what it has until its input ends or it is killed; it closes and
# unlinks nothing by itself.
use strict;
use warnings;
use Errno;
use Fcntl;
$| = 1;
my ($level, $how, @paths) = @ARGV;
my $flags = ($level eq 'ex' ? O_RDWR : O_RDONLY) | O_CREAT | ($how eq 'try' ? O_NONBLOCK : 0);
my @held;
my $status = 0;
for my $path (@paths) {
  if (sysopen(my $file, $path, $flags, 0664)) {
    push @held, $file;
    print "held $path\n";
  } else {
    my ($name) = grep { $!{$_} } qw(ETXTBSY EAGAIN EINVAL ENOENT EBUSY);
    print "refused $path: ", $name // $!, "\n";
    $status = 1;
  }
}
exit $status if $ENV{DLMFS_ONCE};
sleep 3600;
