#include "framework/report/sysinfo.h"

#include <gtest/gtest.h>
#include <omp.h>

#include <cctype>
#include <set>

namespace noisette {
namespace {

TEST(SystemInfo, IsFilled) {
  const SystemInfo s = system_info();
  EXPECT_FALSE(s.cpu.empty());
  EXPECT_GE(s.cores, 1);
  EXPECT_EQ(s.threads, omp_get_max_threads());
  EXPECT_GT(s.memory_bytes, double(1 << 26));
  EXPECT_EQ(s.kernel.substr(0, 5), "Linux");
  EXPECT_NE(s.compiler.find('.'), std::string::npos);
  for (const auto& [name, version] : s.libraries)
    EXPECT_TRUE(!version.empty() && std::isdigit(static_cast<unsigned char>(version[0])))
        << name << " " << version;
}

TEST(SystemInfo, RowsHaveDistinctNamesAndNoEmptyValue) {
  const SystemInfo s = system_info();
  std::set<std::string> names;
  for (const auto& rows : {machine_rows(s), version_rows(s)})
    for (const auto& [name, value] : rows) {
      EXPECT_TRUE(names.insert(name).second) << name;
      EXPECT_FALSE(value.empty()) << name;
    }
}

}  // namespace
}  // namespace noisette
