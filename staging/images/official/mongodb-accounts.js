// Not exercised in CI. Initiate the replica set once; state the accounts at every start.
const secret = (name) => require("fs").readFileSync(`/run/secrets/mongodb_${name}`, "utf8");
const any = (role) => ({ role, db: "admin" });
const admin = db.getSiblingDB("admin");

function waitForPrimary() {
  for (let tries = 0; !admin.hello().isWritablePrimary; tries += 1) {
    if (tries > 100) throw new Error("replica set: expected a primary, observed none in 20 s");
    sleep(200);
  }
}

try {
  admin.auth("root", secret("root"));
} catch (error) {
  try {
    rs.initiate({ _id: "rs0", members: [{ _id: 0, host: "mongodb:27017" }] });
  } catch (initiated) {
    if (initiated.codeName !== "AlreadyInitialized") throw initiated;
  }
  waitForPrimary();
  admin.createUser({ user: "root", pwd: secret("root"), roles: ["root"] });
  admin.auth("root", secret("root"));
}
waitForPrimary();
const roles = {
  reader: [any("readAnyDatabase"), any("clusterMonitor")],
  operator: ["readWriteAnyDatabase", "dbAdminAnyDatabase", "backup", "restore", "clusterMonitor", "hostManager"].map(any),
  app: [{ role: "readWrite", db: "mongodb" }, { role: "dbAdmin", db: "mongodb" }],
};
for (const [user, granted] of Object.entries(roles)) {
  const wanted = { pwd: secret(user), roles: granted };
  if (admin.getUser(user)) admin.updateUser(user, wanted);
  else admin.createUser({ user, ...wanted });
}
