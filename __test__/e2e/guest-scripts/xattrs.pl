# Extended attributes so many that the kernel keeps them in buckets, where it finds a name by its hash.
#
#     xattrs.pl set FILE      xattrs.pl check FILE
#
# Numbers of system calls: x86-64.
use strict;
use warnings;

my ($SETXATTR, $GETXATTR) = (188, 191);
my ($what, $file) = @ARGV;
for my $number (1 .. 120) {
  my ($name, $value) = ("user.name$number\0", "value$number" . "x" x 200);
  if ($what eq "set") {
    syscall($SETXATTR, "$file\0", $name, $value, length $value, 0) == 0 or die "$name: $!\n";
    next;
  }
  my $found = "\0" x 1000;
  my $length = syscall($GETXATTR, "$file\0", $name, $found, length $found);
  $length >= 0 or die "$name: $!\n";
  substr($found, 0, $length) eq $value or die "$name: another value\n";
}
