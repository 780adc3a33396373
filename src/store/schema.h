// The tables of the session store, and how a file with older ones is brought to the newest.
#pragma once
#include <span>

#include "store/sqlite.h"

namespace tessera::store {

// migrations[n] is SQL that leads from version n to n + 1. Entries are added, never changed: files with each
// version are out there.
std::span<const char* const> session_migrations();

// Brings `database` to version migrations.size(), all at once or not at all. Error unsupported: a newer
// program has written it; bad_input: it belongs to another program. It is then left as it was.
void migrate(Database& database, std::span<const char* const> migrations);

}  // namespace tessera::store
