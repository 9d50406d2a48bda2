# append.pl FILE: appends a line `N SECONDS` to a file (a count, and the machine's seconds since boot) five times a second, each
# with fsync, and ends on SIGTERM. append.pl FILE check: says how many lines there are and the longest pause, or what is wrong.
use strict;
use warnings;
use IO::Handle;
my ($path, $check) = @ARGV;
if (defined $check) {
  my ($count, $last, $pause) = (0, undef, 0);
  open(my $file, '<', $path) or die "$path: $!\n";
  while (my $line = <$file>) {
    my ($number, $time) = $line =~ /^(\d+) ([\d.]+)\n$/ or die "line " . ($count + 1) . " is '$line'\n";
    $count += 1;
    die "line $count is number $number\n" unless $number == $count;
    $pause = $time - $last if defined $last && $time - $last > $pause;
    $last = $time;
  }
  printf "{\"lines\":%d,\"pauseSeconds\":%.2f}\n", $count, $pause;
  exit 0;
}
my $ended = 0;
$SIG{TERM} = sub { $ended = 1 };
$| = 1;
open(my $file, '>>', $path) or die "$path: $!\n";
for (my $number = 1; !$ended; $number += 1) {
  open(my $uptime, '<', '/proc/uptime') or die "$!\n";
  my ($seconds) = split ' ', <$uptime>;
  print $file "$number $seconds\n" or die "$path: $!\n";
  $file->flush or die "$path: $!\n";
  $file->sync or die "$path: $!\n";
  print "writes\n" if $number == 1;
  select undef, undef, undef, 0.2;
}
close $file or die "$path: $!\n";
