/**
 * Field types of NetFlow v9 that the IANA registry does not have, as elements of enterprise number 0.
 *
 * A v9 field has 16 bits of number and no enterprise number. Up to 127 the numbers are those of IANA; above
 * that nothing keeps them in step, but no field the registry has is known to differ, so only the rest is
 * here: Ekinops and Cisco ETA below 32768, which IANA could yet assign, and above it, out of the reach of
 * IPFIX ids, the Cisco ASA's (33000 to 33002 and, of ASA 8.4, 40000 to 40005). Cisco's other fields above
 * 32768 follow by rule from its elements: field 32768 + n is element n of enterprise 9.
 */
export const NETFLOW9_ELEMENTS: string = `
  6660 EkinopsTcpConnectionSetupTime u32, 6661 EkinopsTcpServerResponseTime u32, 6662 EkinopsTcpMeanRtt u32,
  6663 EkinopsTcpRetransmissions u32, 6664 EkinopsTcpGoodputBytes u32, 6665 EkinopsTcpConnectionInitiator u8,
  6670 EkinopsHttpHost str, 6671 EkinopsTicAppId u32, 6680 EkinopsRtpPayloadType u8,
  6681 EkinopsRtpPacketLoss u32, 6682 EkinopsRtpJitter u16, 6683 EkinopsRtpRFactor u8,
  6690 EkinopsReporterId str, 6691 EkinopsUplinkBandwidth u32, 6692 EkinopsDownlinkBandwidth u32,
  6693 EkinopsTimezoneOffset u32, 6694 EkinopsTimezoneName str, 6695 EkinopsDaylightSavingStart u32,
  6696 EkinopsDaylightSavingEnd u32, 6697 EkinopsMacAddress mac, 6698 EkinopsDpiVersion str,
  6699 EkinopsQosCfgFingerprint str, 6800 EkinopsNetControlCfgFingerprint str,
  16386 ETAInitialDataPacketOld oct, 16387 ETASequenceofPktLengthsandTimesOld oct, 33000 ingressAclId oct,
  33001 egressAclId oct, 33002 firewallEventExtended u16, 40000 userName str, 40001 xlateSrcAddrIPv4 ip4,
  40002 xlateDstAddrIPv4 ip4, 40003 xlateSrcPort u16, 40004 xlateDstPort u16, 40005 firewallEvent u8
`
