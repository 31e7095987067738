// Scripts of scripts/, started as a user starts them.
#pragma once
#include <sys/wait.h>

#include <algorithm>

#include "tests/io/files.h"

namespace noisette::test {

inline void put_program(const std::filesystem::path& path, const std::string& text) {
  put(path, text);
  std::filesystem::permissions(path, std::filesystem::perms::owner_all);
}

struct Outcome {
  int code = -1;
  std::string out = {}, err = {};
};

/// `ENVIRONMENT scripts/SCRIPT OPTIONS`, both as in a shell, with its output in files of `folder`.
inline Outcome run_script(const Folder& folder, const std::string& script,
                          const std::string& options, const std::string& environment = "") {
  const std::string command = environment + " /bin/bash '" NOISETTE_SOURCE_DIR "/scripts/" +
                              script + "' " + options + " >'" + (folder / "stdout").string() +
                              "' 2>'" + (folder / "stderr").string() + "'";
  const int status = std::system(command.c_str());
  return {WIFEXITED(status) ? WEXITSTATUS(status) : -1, get(folder / "stdout"),
          get(folder / "stderr")};
}

inline void expect_one_sentence(const Outcome& o, int code, const std::string& name,
                                const std::string& part) {
  EXPECT_EQ(o.code, code) << o.err;
  EXPECT_TRUE(o.err.starts_with(name)) << o.err;
  EXPECT_EQ(std::count(o.err.begin(), o.err.end(), '\n'), 1) << o.err;
  EXPECT_CONTAINS(o.err, part);
  EXPECT_EQ(o.out, "");
}

}  // namespace noisette::test
