# A client of the control daemon apart from the package's own, as the protocol's description has it (userspace-stack 1): frames of 256 bytes,
# text and NULs, over the abstract socket. controld-client.pl WORD... does each word in turn:
#   MOUNT\ ocfs2\ ...  any text: sent as a frame; the reply is printed (lists: all of it)
#   silent:TEXT        sent, nothing is read        raw:HEX   these bytes are sent, as they are
#   read               one more frame is read       hold      says "holding" and sleeps until it is killed
#   new                a connection of its own      reset     the connection is closed
use strict; use warnings; use Socket;
$| = 1; $SIG{PIPE} = "IGNORE"; $SIG{ALRM} = sub { print "no answer\n"; exit 3 };
my $socket;
sub connection {
  socket($socket, AF_UNIX, SOCK_STREAM, 0) or die "socket: $!\n";
  # The address ends with the name: no NUL after it.
  connect($socket, pack("S a*", AF_UNIX, "\0ocfs2_controld_sock")) or die "connect: $!\n";
}
sub frame {
  my $text = ""; alarm 20;
  while (length $text < 256) {
    my $got = sysread($socket, $text, 256 - length $text, length $text);
    if (!$got) { print "closed\n"; alarm 0; return undef }
  }
  alarm 0;
  $text =~ s/\0.*//s; print "$text\n"; return $text;
}
connection();
for my $word (@ARGV) {
  if ($word eq "read") { frame() }
  elsif ($word eq "new" or $word eq "reset") { close $socket; connection() if $word eq "new" }
  elsif ($word eq "hold") { print "holding\n"; sleep 3600 }
  elsif ($word =~ /^raw:(.*)/) { syswrite($socket, pack("H*", $1)) }
  elsif ($word =~ /^silent:(.*)/s) { syswrite($socket, pack("a256", $1)) }
  else {
    syswrite($socket, pack("a256", $word));
    my $reply = frame();
    if (defined $reply and $reply =~ /^ITEMCOUNT (\d+)/) { frame() for 0 .. $1 }
  }
}
