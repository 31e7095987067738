// INSTRUCTIONS.md and API.md say what the sources have.
#include <gtest/gtest.h>

#include <cstdlib>

TEST(Tables, AreWhatTheSourcesHave) {
  // simulator_tables says what differs and how the tables are written anew.
  EXPECT_EQ(std::system("'" SIM_TABLES "' check '" SIM_FOLDER "'"), 0);
}
