import pg from "pg";

/**
 * A `pg.Pool` whose connections may break at any moment without ending the process. An idle one
 * reports to the pool; one that is lent reports to nobody, and a server that dies just then says
 * so in the packet that made the connection ready: before anybody the pool lends it to can
 * listen (seen: a killed PostgreSQL took a worker with it). A user of the connection is told
 * by its query.
 */
export function openPool(config: pg.PoolConfig): pg.Pool {
  const pool = new pg.Pool(config);
  pool.on("error", () => {});
  pool.on("connect", (client) => client.on("error", () => {}));
  return pool;
}
