import type { Claims, Database } from "./database.ts";

/** Somebody whose emails there are, as admins see them. */
export interface Owner {
  owner: string;
  /** Since midnight UTC. */
  acceptedToday: number;
  pending: number;
  /** Of the newest entry of the journal; at most a second or two late. */
  lastActivityAt: Date | null;
}

export interface OwnersPage {
  owners: Owner[];
  /** Only with an offset. */
  total: number | null;
  /** The name that the next page begins after; null: this is the last one. */
  next: string | null;
}

export interface Owners {
  /** By name. For admins alone: others are refused by the database. */
  list(
    page: { limit: number; offset: number | null; after: string | null },
    as: Claims,
  ): Promise<OwnersPage>;
}

interface OwnerJson {
  owner: string;
  accepted_today: number;
  pending: number;
  last_activity_at: string | null;
}

export function createOwners(database: Database): Owners {
  return {
    async list(page, as) {
      const json = (await database.rpc("list_owners", page, as)) as {
        owners: OwnerJson[];
        total: number | null;
        has_more: boolean;
      };
      return {
        owners: json.owners.map(toOwner),
        total: json.total,
        next: json.has_more ? (json.owners.at(-1)?.owner ?? null) : null,
      };
    },
  };
}

function toOwner(json: OwnerJson): Owner {
  return {
    owner: json.owner,
    acceptedToday: json.accepted_today,
    pending: json.pending,
    lastActivityAt: json.last_activity_at === null ? null : new Date(json.last_activity_at),
  };
}
