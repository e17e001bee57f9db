/** The domain of a mailbox, in lower case: what a next hop's limits are about. */
export function domainOf({ address }: { address: string }): string {
  return address.slice(address.lastIndexOf("@") + 1).toLowerCase();
}
