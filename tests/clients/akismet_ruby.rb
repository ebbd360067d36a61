# Drives Debian's ruby-akismet, as installed, against a server given on the command line. It speaks
# TLS to a fixed host; what follows leads that to the server, as a name and a certificate would.

require 'akismet'
require 'json'

port, key, blog = ARGV
Net::HTTP.prepend(Module.new do
  define_method(:connect) do
    named = [@address, @port]
    @address, @port, @use_ssl = '127.0.0.1', port.to_i, false
    super()
    @address, @port = named
  end
end)

client = Akismet::Client.new(key, blog, app_name: 'test', app_version: '1.0')
told = { valid: client.verify_key }
if told[:valid]
  good = { author: 'Zoë', text: 'Đúng là hữu ích.' }
  told[:good] = client.check('203.0.113.7', 'Mozilla/5.0', **good).first == false
  told[:spam] = client.check('203.0.113.7', 'Mozilla/5.0', author: 'akismet-guaranteed-spam').first
  client.submit_spam('203.0.113.7', 'Mozilla/5.0', **good)
  client.submit_ham('203.0.113.7', 'Mozilla/5.0', **good)
  told[:reported] = true
end
puts JSON.generate(told)
