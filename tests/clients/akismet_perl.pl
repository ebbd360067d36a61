# Drives Perl's Net::Akismet, as installed, against a server given on the command line. Its host name
# is led there by a proxy, which the server takes for a client like any other.

use strict;
use warnings;
use Encode qw(encode_utf8);
use Net::Akismet;
use utf8;

my ($port, $key, $blog) = @ARGV;
$ENV{http_proxy} = "http://127.0.0.1:$port";
$ENV{PERL_LWP_ENV_PROXY} = 1;
my $client = Net::Akismet->new(KEY => $key, URL => $blog);
if (!$client) { print qq({"valid": false}\n); exit; }

my @good = (
    USER_IP => '203.0.113.7', COMMENT_USER_AGENT => 'Mozilla/5.0', REFERRER => '',
    COMMENT_AUTHOR => encode_utf8('Zoë'), COMMENT_CONTENT => encode_utf8('Đúng là hữu ích.'),
);
my $good = $client->check(@good);
my $spam = $client->check(@good, COMMENT_AUTHOR => 'akismet-guaranteed-spam');
my $reported = $client->spam(@good) && $client->ham(@good);
printf qq({"valid": true, "good": %s, "spam": %s, "reported": %s}\n),
    map { $_ ? 'true' : 'false' } (($good // '') eq 'false', ($spam // '') eq 'true', $reported);
