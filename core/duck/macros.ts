const RUNS = [2, 3, 4, 5, 6, 7, 8]

const SHORTEN = RUNS.reduceRight((text, zeros) => (
  `regexp_replace(${text}, '^((?::[0-9a-f]+)*?)(?::0){${zeros}}:((?:[0-9a-f]+:)*)$', '\\1::\\2')`
), 'groups')

/**
 * Macros for addresses, in SQL that any DuckDB since 1.3 takes without the extension its INET type needs.
 *
 * `addr(hi, lo)` and `mac(number)` are text; `addr_hi(text)` and `addr_lo(text)` the halves of an address,
 * NULL where the text is none; `cidr(hi, lo, '10.0.0.0/8')` whether an address is in a network.
 *
 * A macro is expanded at each use of its parameters: the lambdas bind what would else be computed many times.
 */
export const MACROS: string = `
CREATE OR REPLACE MACRO addr(hi, lo) AS CASE
  WHEN hi = 0 AND (lo >> 32) = 65535
    THEN ((lo >> 24) & 255) || '.' || ((lo >> 16) & 255) || '.' || ((lo >> 8) & 255) || '.' || (lo & 255)
  ELSE addr_short(printf(':%x:%x:%x:%x:%x:%x:%x:%x:',
    hi >> 48, (hi >> 32) & 65535, (hi >> 16) & 65535, hi & 65535,
    lo >> 48, (lo >> 32) & 65535, (lo >> 16) & 65535, lo & 65535)) END;

-- RFC 5952 of ':2001:db8:0:0:0:0:0:1:': the first of the longest runs of zeros becomes '::', and then no
-- pattern matches any more
CREATE OR REPLACE MACRO addr_short(groups) AS regexp_replace(regexp_replace(
  ${SHORTEN}
  , '^:([^:])', '\\1'), '([^:]):$', '\\1');

CREATE OR REPLACE MACRO mac(number) AS
  regexp_replace(printf('%012x', number), '(..)(..)(..)(..)(..)(..)', '\\1:\\2:\\3:\\4:\\5:\\6');

CREATE OR REPLACE MACRO addr_v4(text) AS CASE WHEN regexp_full_match(text, '\\d{1,3}(\\.\\d{1,3}){3}') THEN
  (TRY_CAST(split_part(text, '.', 1) AS UTINYINT)::UBIGINT << 24)
  | (TRY_CAST(split_part(text, '.', 2) AS UTINYINT)::UBIGINT << 16)
  | (TRY_CAST(split_part(text, '.', 3) AS UTINYINT)::UBIGINT << 8)
  | TRY_CAST(split_part(text, '.', 4) AS UTINYINT)::UBIGINT END;

-- eight groups of IPv6 text: dotted decimal at its end becomes two, '::' as many as are missing
CREATE OR REPLACE MACRO addr_groups(text) AS list_transform(list_transform(list_transform([text],
  lambda t: CASE WHEN contains(t, '.') THEN regexp_extract(t, '^(.*:)[^:]*$', 1)
    || list_transform([addr_v4(regexp_extract(t, '[^:]*$'))],
      lambda v: printf('%x:%x', v >> 16, v & 65535))[1]
    ELSE t END),
  lambda t: CASE WHEN starts_with(t, '::') THEN '0' ELSE '' END || t
    || CASE WHEN ends_with(t, '::') THEN '0' ELSE '' END),
  lambda t: replace(t, '::', repeat(':0', 8 + length(replace(t, ':', '')) - length(t)) || ':'))[1];

CREATE OR REPLACE MACRO addr_half(groups, place) AS list_transform([groups], lambda g: CASE
  WHEN regexp_full_match(g, '[0-9A-Fa-f]{1,4}(:[0-9A-Fa-f]{1,4}){7}') THEN
    (('0x' || split_part(g, ':', place))::UBIGINT << 48)
    | (('0x' || split_part(g, ':', place + 1))::UBIGINT << 32)
    | (('0x' || split_part(g, ':', place + 2))::UBIGINT << 16)
    | ('0x' || split_part(g, ':', place + 3))::UBIGINT
  END)[1];

CREATE OR REPLACE MACRO addr_hi(text) AS CASE WHEN contains(text, ':') THEN addr_half(addr_groups(text), 1)
  WHEN addr_v4(text) IS NOT NULL THEN 0::UBIGINT END;
CREATE OR REPLACE MACRO addr_lo(text) AS CASE WHEN contains(text, ':') THEN addr_half(addr_groups(text), 5)
  ELSE addr_v4(text) | 281470681743360::UBIGINT END;

CREATE OR REPLACE MACRO cidr_bits(net) AS CASE
  WHEN NOT contains(net, '/') THEN 128
  WHEN contains(net, ':') AND split_part(net, '/', 2)::UTINYINT <= 128
    THEN split_part(net, '/', 2)::INTEGER
  WHEN NOT contains(net, ':') AND split_part(net, '/', 2)::UTINYINT <= 32
    THEN split_part(net, '/', 2)::INTEGER + 96
  ELSE ('no network: ' || net)::INTEGER END;
-- the bits behind those of the network, as ones
CREATE OR REPLACE MACRO cidr_rest(bits) AS (CASE
  WHEN bits <= 0 THEN 18446744073709551615 WHEN bits >= 64 THEN 0
  ELSE (1::UBIGINT << (64 - bits)) - 1 END)::UBIGINT;
CREATE OR REPLACE MACRO cidr_hi(net) AS
  (coalesce(addr_hi(split_part(net, '/', 1)), ('no network: ' || net)::UBIGINT)
  | cidr_rest(cidr_bits(net)))::UBIGINT;
CREATE OR REPLACE MACRO cidr_lo(net) AS
  (coalesce(addr_lo(split_part(net, '/', 1)), ('no network: ' || net)::UBIGINT)
  | cidr_rest(cidr_bits(net) - 64))::UBIGINT;
-- as ranges, so that files and row groups without such addresses are skipped
CREATE OR REPLACE MACRO cidr(hi, lo, net) AS
  hi >= cidr_hi(net) - cidr_rest(cidr_bits(net)) AND hi <= cidr_hi(net)
  AND lo >= cidr_lo(net) - cidr_rest(cidr_bits(net) - 64) AND lo <= cidr_lo(net);
`.trimStart()
