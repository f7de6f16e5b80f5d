// Harmless patterns of this laboratory, for tests of signatures that are not plain text.
rule Lab_Test_Pattern {
  strings:
    $text = "SFC-LAB-HARMLESS-TEST-PATTERN-0001"
  condition:
    $text
}

rule Lab_Test_Jump {
  strings:
    $parts = { 5F 4C 41 42 5F [4-64] 5F 42 41 4C 5F DE AD }
  condition:
    $parts
}
