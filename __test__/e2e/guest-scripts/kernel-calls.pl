# System calls that no command offers, or that a command would do with more than the call: kernel-calls.pl WHAT ARGUMENT...
#   umount2 PATH FLAGS     umount2(2) and nothing else, as another program would
#   clone PATH             holds a detached copy of the mount (open_tree(2), 5.2 on); says "held", ends when killed
#   claimed DEVICE         returns when nothing claims the device any more; asks ten times a second, since no event tells
#   watch-opens FILE...    says "watching", then "opened FILE" for each open(2) of one of them, until killed
# Perl, since it is on every Debian system, starts in a tenth of node's time and can make any call by its number (x86-64).
use strict;
use warnings;
use Fcntl;
$| = 1;
my %number = (umount2 => 166, inotify_init1 => 294, inotify_add_watch => 254, open_tree => 428);
my ($what, @arguments) = @ARGV;

sub call {
  my ($name, @values) = @_;
  my $result = syscall($number{$name}, @values);
  die "$name: $!\n" if $result < 0;
  return $result;
}

if ($what eq 'umount2') {
  my ($path, $flags) = @arguments;
  call('umount2', $path, $flags + 0);
} elsif ($what eq 'clone') {
  my ($path) = @arguments;
  call('open_tree', -100, $path, 1); # AT_FDCWD, OPEN_TREE_CLONE
  print "held\n";
  sleep 3600;
} elsif ($what eq 'claimed') {
  my ($device) = @arguments;
  for (my $tries = 0; !sysopen(my $file, $device, O_RDONLY | O_EXCL); $tries += 1) {
    die "$device is still claimed\n" if $tries > 300;
    select undef, undef, undef, 0.1;
  }
} elsif ($what eq 'watch-opens') {
  my $watch = call('inotify_init1', 0);
  my %file = map { call('inotify_add_watch', $watch, $_, 0x20) => $_ } @arguments; # IN_OPEN
  open(my $events, '<&=', $watch) or die "$!\n";
  print "watching\n";
  while (sysread($events, my $data, 65536)) {
    while (length $data) {
      my ($id, $mask, $cookie, $length) = unpack('iIII', $data);
      substr($data, 0, 16 + $length, '');
      print "opened $file{$id}\n";
    }
  }
} else {
  die "kernel-calls.pl: what is '$what'?\n";
}
