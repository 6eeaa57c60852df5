/**
 * The counter records that flowkit reads, by format (enterprise * 4096 + format), as lists of their values.
 *
 * A value is a name and how it is stored: a 32-bit number if nothing else is said, `:64` 64 bits, `:f` a
 * float, `:i` a signed number, `:%` a signed number of hundredths of a percent, `:8` a byte, `:s` a string,
 * `:mac` a MAC address in 8 bytes, `:hex8` and `:hex16` bytes. Names are the specifications' in snake_case.
 *
 * Sources: sFlow version 5 section 5.4 (1 to 5, 1001), sflow_80211.txt (6, 1002), sflow_lag.txt (7),
 * sflow_optics.txt (10), sflow_openflow.txt (1004, 1005), sflow_host.txt (2000 to 2006, 2100 to 2104),
 * sflow_host_ip.txt (2007 to 2010), InMon's sflow.h (11, 2207, NVIDIA's 5703:1, Broadcom's 4413:3).
 */
export const COUNTER_LISTS: Readonly<Record<number, string>> = {
  1: `if_index if_type if_speed:64 if_direction if_status if_in_octets:64 if_in_ucast_pkts
    if_in_multicast_pkts if_in_broadcast_pkts if_in_discards if_in_errors if_in_unknown_protos
    if_out_octets:64 if_out_ucast_pkts if_out_multicast_pkts if_out_broadcast_pkts if_out_discards
    if_out_errors if_promiscuous_mode`,
  2: `dot3_stats_alignment_errors dot3_stats_fcs_errors dot3_stats_single_collision_frames
    dot3_stats_multiple_collision_frames dot3_stats_sqe_test_errors dot3_stats_deferred_transmissions
    dot3_stats_late_collisions dot3_stats_excessive_collisions dot3_stats_internal_mac_transmit_errors
    dot3_stats_carrier_sense_errors dot3_stats_frame_too_longs dot3_stats_internal_mac_receive_errors
    dot3_stats_symbol_errors`,
  3: `dot5_stats_line_errors dot5_stats_burst_errors dot5_stats_ac_errors dot5_stats_abort_trans_errors
    dot5_stats_internal_errors dot5_stats_lost_frame_errors dot5_stats_receive_congestions
    dot5_stats_frame_copied_errors dot5_stats_token_errors dot5_stats_soft_errors dot5_stats_hard_errors
    dot5_stats_signal_loss dot5_stats_transmit_beacons dot5_stats_recoverys dot5_stats_lobe_wires
    dot5_stats_removes dot5_stats_singles dot5_stats_freq_errors`,
  4: `dot12_in_high_priority_frames dot12_in_high_priority_octets:64 dot12_in_norm_priority_frames
    dot12_in_norm_priority_octets:64 dot12_in_ipm_errors dot12_in_oversize_frame_errors
    dot12_in_data_errors dot12_in_null_addressed_frames dot12_out_high_priority_frames
    dot12_out_high_priority_octets:64 dot12_transition_into_trainings dot12_hc_in_high_priority_octets:64
    dot12_hc_in_norm_priority_octets:64 dot12_hc_out_high_priority_octets:64`,
  5: 'vlan_id vlan_octets:64 vlan_ucast_pkts vlan_multicast_pkts vlan_broadcast_pkts vlan_discards',
  6: `
    dot11_transmitted_fragment_count dot11_multicast_transmitted_frame_count dot11_failed_count
    dot11_retry_count dot11_multiple_retry_count dot11_frame_duplicate_count dot11_rts_success_count
    dot11_rts_failure_count dot11_ack_failure_count dot11_received_fragment_count
    dot11_multicast_received_frame_count dot11_fcs_error_count dot11_transmitted_frame_count
    dot11_wep_undecryptable_count dot11_qos_discarded_fragment_count dot11_associated_station_count
    dot11_qos_cf_polls_received_count dot11_qos_cf_polls_unused_count dot11_qos_cf_polls_unusable_count
    dot11_qos_cf_polls_lost_count`,
  7: `lag_actor_system_id:mac lag_partner_system_id:mac lag_attached_agg_id lag_actor_admin_port_state:8
    lag_actor_oper_port_state:8 lag_partner_admin_port_state:8 lag_partner_oper_port_state:8
    lag_lacpdus_rx lag_marker_pdus_rx lag_marker_response_pdus_rx lag_unknown_rx lag_illegal_rx
    lag_lacpdus_tx lag_marker_pdus_tx lag_marker_response_pdus_tx`,
  10: 'sfp_module_id sfp_total_lanes sfp_supply_voltage_mv sfp_temperature_millicelsius:i',
  11: 'pfc_requests pfc_indications pfc_pause_duration_us pfc_storm_detected pfc_storm_restored',
  1001: 'cpu_5s_percent:% cpu_1m_percent:% cpu_5m_percent:% total_memory:64 free_memory:64',
  1002: 'radio_elapsed_ms radio_on_channel_ms radio_on_channel_busy_ms',
  1004: 'openflow_datapath_id:hex8 openflow_port',
  1005: 'if_name:s',
  2000: 'hostname:s uuid:hex16 machine_type os_name os_release:s',
  2001: '', // host adapters: a list of lists
  2002: 'parent_type parent_index',
  2003: `
    load_one:f load_five:f load_fifteen:f proc_run proc_total cpu_num cpu_speed_mhz uptime_s cpu_user_ms
    cpu_nice_ms cpu_system_ms cpu_idle_ms cpu_wio_ms cpu_intr_ms cpu_sintr_ms interrupts contexts
    cpu_steal_ms cpu_guest_ms cpu_guest_nice_ms`,
  2004: `mem_total:64 mem_free:64 mem_shared:64 mem_buffers:64 mem_cached:64 swap_total:64 swap_free:64
    page_in page_out swap_in swap_out`,
  2005: `disk_total:64 disk_free:64 disk_part_max_used_percent:% disk_reads disk_bytes_read:64
    disk_read_time_ms disk_writes disk_bytes_written:64 disk_write_time_ms`,
  2006: `nio_bytes_in:64 nio_pkts_in nio_errs_in nio_drops_in nio_bytes_out:64 nio_pkts_out nio_errs_out
    nio_drops_out`,
  2007: `ip_forwarding ip_default_ttl ip_in_receives ip_in_hdr_errors ip_in_addr_errors ip_forw_datagrams
    ip_in_unknown_protos ip_in_discards ip_in_delivers ip_out_requests ip_out_discards ip_out_no_routes
    ip_reasm_timeout ip_reasm_reqds ip_reasm_oks ip_reasm_fails ip_frag_oks ip_frag_fails ip_frag_creates`,
  2008: `icmp_in_msgs icmp_in_errors icmp_in_dest_unreachs icmp_in_time_excds icmp_in_param_probs
    icmp_in_src_quenchs icmp_in_redirects icmp_in_echos icmp_in_echo_reps icmp_in_timestamps
    icmp_in_addr_masks icmp_in_addr_mask_reps icmp_out_msgs icmp_out_errors icmp_out_dest_unreachs
    icmp_out_time_excds icmp_out_param_probs icmp_out_src_quenchs icmp_out_redirects icmp_out_echos
    icmp_out_echo_reps icmp_out_timestamps icmp_out_timestamp_reps icmp_out_addr_masks
    icmp_out_addr_mask_reps`,
  2009: `tcp_rto_algorithm tcp_rto_min tcp_rto_max tcp_max_conn tcp_active_opens tcp_passive_opens
    tcp_attempt_fails tcp_estab_resets tcp_curr_estab tcp_in_segs tcp_out_segs tcp_retrans_segs
    tcp_in_errs tcp_out_rsts tcp_in_csum_errors`,
  2010: `udp_in_datagrams udp_no_ports udp_in_errors udp_out_datagrams udp_rcvbuf_errors udp_sndbuf_errors
    udp_in_csum_errors`,
  2100: 'vnode_mhz vnode_cpus vnode_memory:64 vnode_memory_free:64 vnode_num_domains',
  2101: 'vcpu_state vcpu_time_ms vcpu_count',
  2102: 'vmem_memory:64 vmem_max_memory:64',
  2103: `
    vdsk_capacity:64 vdsk_allocation:64 vdsk_physical:64 vdsk_rd_req vdsk_rd_bytes:64 vdsk_wr_req
    vdsk_wr_bytes:64 vdsk_errs`,
  2104: `vnio_bytes_in:64 vnio_pkts_in vnio_errs_in vnio_drops_in vnio_bytes_out:64 vnio_pkts_out
    vnio_errs_out vnio_drops_out`,
  2207: 'ovs_dp_hits ovs_dp_misses ovs_dp_lost ovs_dp_mask_hits ovs_dp_flows ovs_dp_masks',
  [5703 << 12 | 1]: `
    nvml_device_count nvml_processes nvml_gpu_time_ms nvml_mem_time_ms nvml_mem_total:64 nvml_mem_free:64
    nvml_ecc_errors nvml_energy_mj nvml_temperature_celsius nvml_fan_speed_percent`,
  [4413 << 12 | 3]: `bcm_host_entries bcm_host_entries_max bcm_ipv4_entries bcm_ipv4_entries_max
    bcm_ipv6_entries bcm_ipv6_entries_max bcm_ipv4_ipv6_entries bcm_ipv4_ipv6_entries_max
    bcm_long_ipv6_entries bcm_long_ipv6_entries_max bcm_total_routes bcm_total_routes_max
    bcm_ecmp_nexthops bcm_ecmp_nexthops_max bcm_mac_entries bcm_mac_entries_max bcm_ipv4_neighbors
    bcm_ipv6_neighbors bcm_ipv4_routes bcm_ipv6_routes bcm_acl_ingress_entries bcm_acl_ingress_entries_max
    bcm_acl_ingress_counters bcm_acl_ingress_counters_max bcm_acl_ingress_meters
    bcm_acl_ingress_meters_max bcm_acl_ingress_slices bcm_acl_ingress_slices_max bcm_acl_egress_entries
    bcm_acl_egress_entries_max bcm_acl_egress_counters bcm_acl_egress_counters_max bcm_acl_egress_meters
    bcm_acl_egress_meters_max bcm_acl_egress_slices bcm_acl_egress_slices_max`,
}

/** The values of each lane of an optical module (sflow_optics.txt), which follow record 10's own. */
export const LANE_LIST = `index tx_bias_current_ua tx_power_uw tx_power_min_uw tx_power_max_uw
  tx_wavelength_nm rx_power_uw rx_power_min_uw rx_power_max_uw rx_wavelength_nm`
