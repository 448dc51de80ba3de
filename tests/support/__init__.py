"""What the tests share: real servers, controls, and the words in which expectations are written."""
