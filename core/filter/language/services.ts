/** Ports of services that filters know by name (IANA service names, and usual short ones). */
const PORTS: Readonly<Record<string, number>> = {
  'tcpmux': 1, 'echo': 7, 'discard': 9, 'systat': 11, 'daytime': 13, 'chargen': 19, 'ftp-data': 20, 'ftp': 21,
  'ssh': 22, 'telnet': 23, 'smtp': 25, 'time': 37, 'whois': 43, 'nicname': 43, 'tacacs': 49, 'domain': 53,
  'dns': 53, 'bootps': 67, 'bootpc': 68, 'dhcp': 67, 'tftp': 69, 'gopher': 70, 'finger': 79, 'http': 80,
  'www': 80, 'kerberos': 88, 'iso-tsap': 102, 'pop2': 109, 'pop3': 110, 'sunrpc': 111, 'portmap': 111,
  'auth': 113, 'ident': 113, 'nntp': 119, 'ntp': 123, 'epmap': 135, 'netbios-ns': 137, 'netbios-dgm': 138,
  'netbios-ssn': 139, 'imap': 143, 'imap2': 143, 'snmp': 161, 'snmptrap': 162, 'snmp-trap': 162, 'xdmcp': 177,
  'bgp': 179, 'irc': 194, 'ldap': 389, 'svrloc': 427, 'https': 443, 'microsoft-ds': 445, 'kpasswd': 464,
  'submissions': 465, 'smtps': 465, 'isakmp': 500, 'exec': 512, 'biff': 512, 'login': 513, 'who': 513,
  'shell': 514, 'syslog': 514, 'printer': 515, 'talk': 517, 'ntalk': 518, 'router': 520, 'rip': 520,
  'ripng': 521, 'uucp': 540, 'klogin': 543, 'kshell': 544, 'dhcpv6-client': 546, 'dhcpv6-server': 547,
  'afpovertcp': 548, 'rtsp': 554, 'nntps': 563, 'submission': 587, 'ipp': 631, 'ldaps': 636, 'ldp': 646,
  'dns-over-tls': 853, 'domain-s': 853, 'rsync': 873, 'ftps-data': 989, 'ftps': 990, 'telnets': 992,
  'imaps': 993, 'pop3s': 995, 'socks': 1080, 'openvpn': 1194, 'ms-sql-s': 1433, 'ms-sql-m': 1434,
  'l2tp': 1701, 'pptp': 1723, 'radius': 1812, 'radius-acct': 1813, 'ssdp': 1900, 'hsrp': 1985, 'nfs': 2049,
  'netflow': 2055, 'iscsi-target': 3260, 'iscsi': 3260, 'mysql': 3306, 'ms-wbt-server': 3389, 'rdp': 3389,
  'diameter': 3868, 'ipsec-nat-t': 4500, 'ipfix': 4739, 'vxlan': 4789, 'sip': 5060, 'sips': 5061,
  'xmpp-client': 5222, 'xmpp-server': 5269, 'mdns': 5353, 'llmnr': 5355, 'postgresql': 5432, 'amqps': 5671,
  'amqp': 5672, 'vnc': 5900, 'x11': 6000, 'geneve': 6081, 'sflow': 6343, 'redis': 6379, 'http-alt': 8080,
  'https-alt': 8443, 'mongodb': 27_017,
}

/** The port of a service by name, in any case, or undefined. */
export function servicePort(name: string): number | undefined {
  const word = name.toLowerCase()
  return Object.hasOwn(PORTS, word) ? PORTS[word] : undefined
}
